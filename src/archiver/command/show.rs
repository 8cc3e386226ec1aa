//! A preview as a person reads it.
//!
//! Pure.

use indicatif::HumanBytes;

use crate::archiver::preview::{Preview, PreviewState};

/// The preview as text of several lines.
pub fn text(preview: &Preview) -> String {
    let Preview {
        stream_arn,
        bucket,
        folder,
        from,
        through,
        to,
        ..
    } = preview;
    let mut lines = vec![
        "Dry run: nothing is written, nothing is fetched.".into(),
        String::new(),
        format!("stream    {stream_arn}"),
        format!("span      {from} to {to}"),
        format!("into      s3://{bucket}/, plans and manifests in {folder}"),
        String::new(),
    ];
    for slice in &preview.slices {
        let state = match slice.state {
            PreviewState::New => "to be archived",
            PreviewState::Begun => "begun: what of it is in S3 already is not fetched again",
            PreviewState::Archived => "archived already",
        };
        lines.push(format!("slice     {} to {}  {state}", slice.from, slice.through));
    }
    if through < to {
        lines.push(format!(
            "later     {through} to {to}: not due yet, footage may still arrive"
        ));
    }
    if !preview.files.is_empty() {
        lines.push(String::new());
    }
    for file in &preview.files {
        lines.push(format!(
            "{:>10}  {:>4} fragments  {}",
            HumanBytes(file.bytes).to_string(),
            file.fragments,
            file.key
        ));
    }
    lines.push(String::new());
    for (what, holes) in [("gap", &preview.gaps), ("repeat", &preview.repeats)] {
        for hole in holes {
            let seconds = hole.to.duration_since(hole.from).as_secs_f64();
            lines.push(format!("{what:<9} {} to {} ({seconds:.1} s)", hole.from, hole.to));
        }
    }
    for lost in &preview.lost_spans {
        lines.push(format!("lost      {} to {}: {}", lost.from, lost.to, lost.reason));
    }
    lines.push(format!(
        "in all    {} files of {} fragments, {} to read from KVS, {} gaps, {} repeats",
        preview.files.len(),
        preview.fragments,
        HumanBytes(preview.bytes),
        preview.gaps.len(),
        preview.repeats.len()
    ));
    lines.push(format!(
        "price     {:.4} USD for reading ({})",
        preview.usd, preview.price
    ));
    lines.push(
        "\nA file becomes .mkv, or several files, where its codecs do not fit into one MP4: that is seen when it is read."
            .into(),
    );
    lines.join("\n")
}
