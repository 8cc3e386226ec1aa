// The JavaScript SDK's clients for Kinesis Video Streams.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import * as control from "@aws-sdk/client-kinesis-video";
import * as archived from "@aws-sdk/client-kinesis-video-archived-media";
import * as live from "@aws-sdk/client-kinesis-video-media";

const kvs = new control.KinesisVideoClient({ maxAttempts: 1 });
const StreamName = `javascript-${process.pid}`;
let StreamARN;

async function active() {
  for (;;) {
    const { StreamInfo } = await kvs.send(new control.DescribeStreamCommand({ StreamName }));
    if (StreamInfo.Status === "ACTIVE") return StreamInfo;
    await setTimeout(200);
  }
}

async function archive(APIName) {
  const { DataEndpoint } = await kvs.send(new control.GetDataEndpointCommand({ StreamName, APIName }));
  return new archived.KinesisVideoArchivedMediaClient({ endpoint: DataEndpoint, maxAttempts: 1 });
}

before(async () => {
  const create = new control.CreateStreamCommand({ StreamName, DataRetentionInHours: 24, Tags: { site: "north" } });
  ({ StreamARN } = await kvs.send(create));
  await active();
  execFileSync(process.env.SIM, ["put", "--as-fast-as-possible", "--stream", StreamName, process.env.FOOTAGE]);
});

test("a stream is described, changed and found", async () => {
  const { Version } = await active();
  const update = new control.UpdateStreamCommand({ StreamARN, CurrentVersion: Version, MediaType: "video/h264" });
  await kvs.send(update);
  assert.equal((await active()).MediaType, "video/h264");
  await assert.rejects(kvs.send(update), control.VersionMismatchException);
  const names = [];
  for await (const page of control.paginateListStreams({ client: kvs, pageSize: 1 }, {})) {
    names.push(...page.StreamInfoList.map((info) => info.StreamName));
  }
  assert.ok(names.includes(StreamName));
  const { Tags } = await kvs.send(new control.ListTagsForStreamCommand({ StreamARN }));
  assert.deepEqual(Tags, { site: "north" });
  const nobody = new control.DescribeStreamCommand({ StreamName: "nobody" });
  await assert.rejects(kvs.send(nobody), control.ResourceNotFoundException);
});

test("footage is listed and comes out", async () => {
  const client = await archive("LIST_FRAGMENTS");
  const FragmentSelector = {
    FragmentSelectorType: "PRODUCER_TIMESTAMP",
    TimestampRange: { StartTimestamp: new Date(0), EndTimestamp: new Date(4e12) },
  };
  const fragments = [];
  const pages = archived.paginateListFragments({ client, pageSize: 5 }, { StreamName, FragmentSelector });
  for await (const page of pages) fragments.push(...page.Fragments);
  assert.equal(fragments.length, Number(process.env.FRAGMENTS));
  assert.ok(fragments.every((f) => f.ProducerTimestamp instanceof Date && f.FragmentSizeInBytes > 0));

  const Fragments = fragments.map((f) => f.FragmentNumber);
  const media = await archive("GET_MEDIA_FOR_FRAGMENT_LIST");
  const { Payload } = await media.send(new archived.GetMediaForFragmentListCommand({ StreamName, Fragments }));
  const body = Buffer.from(await Payload.transformToByteArray());
  const head = Buffer.from([0x1a, 0x45, 0xdf, 0xa3]);
  let heads = 0;
  for (let at = body.indexOf(head); at >= 0; at = body.indexOf(head, at + 1)) heads += 1;
  assert.equal(heads, fragments.length, "one EBML head a fragment");
  for (const number of Fragments) assert.ok(body.includes(number));
});

test("a clip is an MP4 file", async () => {
  const client = await archive("GET_CLIP");
  const TimestampRange = { StartTimestamp: new Date(Date.now() - 3600e3), EndTimestamp: new Date() };
  const ClipFragmentSelector = { FragmentSelectorType: "PRODUCER_TIMESTAMP", TimestampRange };
  const clip = await client.send(new archived.GetClipCommand({ StreamName, ClipFragmentSelector }));
  assert.equal(clip.ContentType, "video/mp4");
  const body = Buffer.from(await clip.Payload.transformToByteArray());
  assert.equal(body.toString("latin1", 4, 8), "ftyp");
  const none = { ...TimestampRange, EndTimestamp: new Date(Date.now() - 3500e3) };
  const empty = new archived.GetClipCommand({
    StreamName,
    ClipFragmentSelector: { ...ClipFragmentSelector, TimestampRange: none },
  });
  await assert.rejects(client.send(empty), archived.ResourceNotFoundException);
});

test("GetMedia sends what there is, from the oldest", async () => {
  const { DataEndpoint } = await kvs.send(new control.GetDataEndpointCommand({ StreamName, APIName: "GET_MEDIA" }));
  const client = new live.KinesisVideoMediaClient({ endpoint: DataEndpoint, maxAttempts: 1 });
  const StartSelector = { StartSelectorType: "EARLIEST" };
  const { Payload } = await client.send(new live.GetMediaCommand({ StreamName, StartSelector }));
  const tag = "AWS_KINESISVIDEO_FRAGMENT_NUMBER";
  let body = "";
  // It goes on as long as the camera may.
  for await (const piece of Payload) {
    body += piece.toString("latin1");
    if (body.split(tag).length > Number(process.env.FRAGMENTS)) break;
  }
  assert.equal(body.split(tag).length - 1, Number(process.env.FRAGMENTS));
});
