//! Commands as a user types them, and waiting for what they show.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

/// The namespace of the cameras.
pub const NAMESPACE: &str = "cameras";

/// Runs a command; its output, whatever it exits with.
pub fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Runs a command that must succeed; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    assert!(
        output.status.success(),
        "{program} {} failed:\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// kubectl in the cameras' namespace; must succeed.
pub fn kubectl(arguments: &str) -> String {
    run(
        "kubectl",
        &[
            &["-n", NAMESPACE][..],
            &arguments.split_whitespace().collect::<Vec<_>>(),
        ]
        .concat(),
    )
}

/// kubectl in the cameras' namespace, fed with YAML; what it says, whether it succeeds or not.
pub fn apply(yaml: &str) -> Result<String, String> {
    use std::io::Write;
    let mut child = Command::new("kubectl")
        .args(["-n", NAMESPACE, "apply", "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("kubectl");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(yaml.as_bytes())
        .expect("kubectl reads");
    let output = child.wait_with_output().expect("kubectl");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(said(&output.stderr))
    }
}

/// An object or a list, as JSON.
pub fn get(what: &str) -> Value {
    serde_json::from_str(&kubectl(&format!("get {what} -o json"))).expect("kubectl prints JSON")
}

/// The items of a kind.
pub fn list(kind: &str) -> Vec<Value> {
    get(kind)["items"].as_array().cloned().unwrap_or_default()
}

/// Whether the condition of that type is true.
pub fn condition(object: &Value, type_: &str) -> bool {
    object["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|c| c["type"] == type_ && c["status"] == "True"))
}

/// A step of the story, for who reads along.
pub fn step(text: &str) {
    println!("\n== {text}");
}

/// How many seconds later than at best things happen: where AWS is at its worst, metrics come four minutes late and fragments
/// are listed two and a half.
pub fn late() -> u64 {
    let hostile = std::env::var("KVS_SIM_PROFILE").is_ok_and(|profile| profile == "hostile");
    if hostile { 300 } else { 0 }
}

/// Looks again and again until `look` sees what it wants; fails with `what` after so many seconds.
pub fn wait_for<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let seconds = seconds + late();
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            println!("   {what} (after {:.0?})", begin.elapsed());
            return seen;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(seconds),
            "not within {seconds} s: {what}\n{}",
            picture()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// What there is, for a failure's message.
fn picture() -> String {
    let said = |arguments: &[&str]| {
        let output = output("kubectl", arguments);
        format!(
            "{}{}\n",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    said(&[
        "-n",
        NAMESPACE,
        "get",
        "videostreams,archivepolicies,recordings,jobs,pods",
        "-o",
        "wide",
    ]) + &said(&["-n", NAMESPACE, "describe", "recordings"])
        + &said(&[
            "-n",
            "kvs-operator",
            "logs",
            "deployment/kvs-operator",
            "--tail=40",
        ])
}
