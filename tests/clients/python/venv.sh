# To be sourced: makes the environment with boto3 and the AWS CLI, once for each lock file, and puts it first in PATH.
command -v python3 >/dev/null || { echo "there is no python3"; exit 77; }
lock=$(dirname "${BASH_SOURCE[0]}")/requirements.txt
venv=$CACHE/python-$(sha256sum "$lock" | cut -c1-12)
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" || { echo "python3 cannot make environments (Debian: python3-venv)"; exit 77; }
  "$venv/bin/pip" install --quiet --require-hashes --requirement "$lock"
  touch "$venv/complete"
fi
export PATH=$venv/bin:$PATH
