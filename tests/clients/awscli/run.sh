#!/usr/bin/env bash
# The AWS CLI, as a person would use it.
set -euo pipefail
cd "$(dirname "$0")"
. ../python/venv.sh
export AWS_PAGER= AWS_MAX_ATTEMPTS=1
equals() { [ "$1" = "$2" ] || { echo "expected: $2"; echo "found:    $1"; exit 1; }; }
refused() {
  local code=$1 out
  shift
  if out=$(aws "$@" 2>&1); then echo "not refused: aws $*"; exit 1; fi
  grep -q "$code" <<<"$out" || { echo "expected $code of aws $*"; echo "$out"; exit 1; }
}

# S3: folders up and down, in parts, with what makes a bucket safe.
bucket=awscli-$RANDOM
aws s3 mb "s3://$bucket"
mkdir -p "$SCRATCH/up/sub folder"
head -c 20000000 /dev/urandom >"$SCRATCH/up/large"
echo hello >"$SCRATCH/up/sub folder/small é.txt"
aws s3 sync --only-show-errors "$SCRATCH/up" "s3://$bucket/footage"
aws s3 cp --only-show-errors --recursive "s3://$bucket/footage" "$SCRATCH/down"
diff -r "$SCRATCH/up" "$SCRATCH/down"
equals "$(aws s3 sync "$SCRATCH/up" "s3://$bucket/footage")" ""
equals "$(aws s3 ls --recursive --summarize "s3://$bucket" | grep -c -e large -e 'small é.txt')" 2
equals "$(aws s3 cp "s3://$bucket/footage/sub folder/small é.txt" -)" hello
aws s3api put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
aws s3 rm --only-show-errors "s3://$bucket/footage/large"
equals "$(aws s3api list-object-versions --bucket "$bucket" --query 'length(DeleteMarkers)')" 1
aws s3api put-bucket-lifecycle-configuration --bucket "$bucket" --lifecycle-configuration \
  '{"Rules":[{"ID":"abort","Status":"Enabled","Filter":{"Prefix":""},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":7}}]}' \
  >/dev/null
equals "$(aws s3api get-bucket-lifecycle-configuration --bucket "$bucket" --query 'Rules[0].ID' --output text)" abort
refused PreconditionFailed s3api put-object --bucket "$bucket" --key "footage/sub folder/small é.txt" --if-none-match '*'
refused BucketNotEmpty s3 rb "s3://$bucket"
refused NoSuchBucket s3 ls s3://nobody-has-this

# Kinesis Video Streams: a stream, footage, fragments and their media.
stream=awscli-$RANDOM
arn=$(aws kinesisvideo create-stream --stream-name "$stream" --data-retention-in-hours 24 --media-type video/h264 \
  --tags site=north --query StreamARN --output text)
status() { aws kinesisvideo describe-stream --stream-arn "$arn" --query StreamInfo.Status --output text; }
until [ "$(status)" = ACTIVE ]; do sleep 0.2; done
equals "$(aws kinesisvideo list-tags-for-stream --stream-name "$stream" --query Tags.site --output text)" north
"$SIM" put --as-fast-as-possible --stream "$stream" "$FOOTAGE" >/dev/null
endpoint=$(aws kinesisvideo get-data-endpoint --stream-name "$stream" --api-name LIST_FRAGMENTS --query DataEndpoint --output text)
numbers=$(aws kinesis-video-archived-media list-fragments --endpoint-url "$endpoint" --stream-name "$stream" \
  --fragment-selector 'FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=2020-01-01T00:00:00Z,EndTimestamp=2099-01-01T00:00:00Z}' \
  --query 'sort_by(Fragments,&ProducerTimestamp)[].FragmentNumber' --output text)
equals "$(wc -w <<<"$numbers")" "$FRAGMENTS"
# shellcheck disable=SC2086 # one argument a number
aws kinesis-video-archived-media get-media-for-fragment-list "$SCRATCH/media.mkv" --endpoint-url "$endpoint" \
  --stream-name "$stream" --fragments $numbers >/dev/null
[ "$(stat -c %s "$SCRATCH/media.mkv")" -gt "$(($(stat -c %s "$FOOTAGE") * 9 / 10))" ]
RANGE='TimestampRange={StartTimestamp=2020-01-01T00:00:00Z,EndTimestamp=2099-01-01T00:00:00Z}'
refused InvalidArgumentException kinesis-video-archived-media get-clip "$SCRATCH/clip.mp4" --endpoint-url "$endpoint" \
  --stream-name "$stream" --clip-fragment-selector "FragmentSelectorType=SERVER_TIMESTAMP,$RANGE"
RANGE="TimestampRange={StartTimestamp=$(date -u -d '-1 hour' +%FT%TZ),EndTimestamp=$(date -u +%FT%TZ)}"
aws kinesis-video-archived-media get-clip "$SCRATCH/clip.mp4" --endpoint-url "$endpoint" --stream-name "$stream" \
  --clip-fragment-selector "FragmentSelectorType=PRODUCER_TIMESTAMP,$RANGE" >/dev/null
frames() { ffprobe -v error -count_packets -select_streams v -show_entries stream=nb_read_packets -of csv=p=0 "$1"; }
equals "$(frames "$SCRATCH/clip.mp4")" "$FRAMES"
# The CLI writes what GetMedia sends for as long as it sends: until the last fragment is there.
aws kinesis-video-media get-media "$SCRATCH/live.mkv" --endpoint-url "$endpoint" --stream-name "$stream" \
  --start-selector StartSelectorType=EARLIEST >/dev/null 2>&1 &
live=$!
last=${numbers##*[[:space:]]}
for _ in $(seq 100); do
  grep -aq "$last" "$SCRATCH/live.mkv" 2>/dev/null && break
  kill -0 "$live" 2>/dev/null || break
  sleep 0.2
done
kill "$live" 2>/dev/null || true
for number in $numbers; do
  grep -aq "$number" "$SCRATCH/live.mkv" || { echo "GetMedia lacks $number"; exit 1; }
done
refused ResourceNotFoundException kinesisvideo describe-stream --stream-name nobody

# CloudWatch: what the camera's footage did to an alarm.
aws cloudwatch put-metric-alarm --alarm-name "$stream" --namespace AWS/KinesisVideo --metric-name PutMedia.IncomingFragments \
  --dimensions "Name=StreamName,Value=$stream" --statistic Sum --period 60 --evaluation-periods 1 --threshold 1 \
  --comparison-operator GreaterThanOrEqualToThreshold --treat-missing-data notBreaching
state() { aws cloudwatch describe-alarms --alarm-names "$stream" --query 'MetricAlarms[0].StateValue' --output text; }
for _ in $(seq 60); do
  [ "$(state)" = ALARM ] && break
  sleep 0.5
done
equals "$(state)" ALARM
equals "$(aws cloudwatch describe-alarm-history --alarm-name "$stream" --history-item-type StateUpdate --scan-by TimestampDescending \
  --max-items 1 --query 'AlarmHistoryItems[0].HistorySummary' --output text | grep -c 'to ALARM')" 1
refused ValidationError cloudwatch put-metric-alarm --alarm-name x --namespace n --metric-name m --statistic Sum --period 7 \
  --evaluation-periods 1 --threshold 1 --comparison-operator GreaterThanOrEqualToThreshold
