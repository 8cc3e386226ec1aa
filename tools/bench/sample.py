"""What AWS's sample does with one camera: GetClip of three minutes, streamed into S3, and the next three minutes."""

import datetime
import sys

import boto3

endpoint, stream, bucket, begin, seconds = sys.argv[1:]
STEP = datetime.timedelta(minutes=3)
at = datetime.datetime.fromtimestamp(float(begin), datetime.timezone.utc)
end = at + datetime.timedelta(seconds=float(seconds))
s3 = boto3.client("s3", endpoint_url=endpoint)
while at < end:
    video = boto3.client("kinesisvideo", endpoint_url=endpoint)
    there = video.get_data_endpoint(StreamName=stream, APIName="GET_CLIP")["DataEndpoint"]
    media = boto3.client("kinesis-video-archived-media", endpoint_url=there)
    try:
        clip = media.get_clip(StreamName=stream, ClipFragmentSelector={
            "FragmentSelectorType": "PRODUCER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": at, "EndTimestamp": at + STEP}})
        s3.upload_fileobj(clip["Payload"], bucket, f"sample/{at:%Y-%m-%d-%H-%M-%S}.mp4")
    except Exception as error:  # As the sample does: it is logged, and the footage is not asked for again.
        print(f"{at}: {error}", file=sys.stderr)
    at += STEP
