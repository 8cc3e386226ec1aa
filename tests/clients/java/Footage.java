import com.amazonaws.auth.DefaultAWSCredentialsProviderChain;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.kinesisvideo.parser.ebml.InputStreamParserByteSource;
import com.amazonaws.kinesisvideo.parser.mkv.Frame;
import com.amazonaws.kinesisvideo.parser.mkv.StreamingMkvReader;
import com.amazonaws.kinesisvideo.parser.utilities.FragmentMetadata;
import com.amazonaws.kinesisvideo.parser.utilities.FrameVisitor;
import com.amazonaws.kinesisvideo.parser.utilities.MkvTrackMetadata;
import com.amazonaws.services.kinesisvideo.*;
import com.amazonaws.services.kinesisvideo.model.*;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Footage goes in through AWS's PutMedia client for Java, and comes out through AWS's parser library. */
public class Footage {
  static final String NAME = "java-" + ProcessHandle.current().pid();
  static final String REGION = System.getenv("AWS_REGION");
  static final int FRAGMENTS = Integer.parseInt(System.getenv("FRAGMENTS"));
  static final int FRAMES = Integer.parseInt(System.getenv("FRAMES"));
  static final AmazonKinesisVideo kvs =
      AmazonKinesisVideoClientBuilder.standard()
          .withEndpointConfiguration(new EndpointConfiguration(System.getenv("AWS_ENDPOINT_URL"), REGION))
          .build();

  public static void main(String[] arguments) throws Exception {
    kvs.createStream(new CreateStreamRequest().withStreamName(NAME).withDataRetentionInHours(24));
    while (!kvs.describeStream(new DescribeStreamRequest().withStreamName(NAME)).getStreamInfo().getStatus().equals("ACTIVE")) {
      Thread.sleep(200);
    }
    put();
    List<Fragment> listed = list();
    equal("fragments listed", listed.size(), FRAGMENTS);
    List<String> numbers = listed.stream().map(Fragment::getFragmentNumber).toList();

    AmazonKinesisVideoArchivedMedia archive =
        AmazonKinesisVideoArchivedMediaClientBuilder.standard()
            .withEndpointConfiguration(endpoint("GET_MEDIA_FOR_FRAGMENT_LIST"))
            .build();
    Counter some = new Counter(Integer.MAX_VALUE);
    some.read(
        archive
            .getMediaForFragmentList(new GetMediaForFragmentListRequest().withStreamName(NAME).withFragments(numbers))
            .getPayload());
    equal("frames of GetMediaForFragmentList", some.video, FRAMES);
    equal("its fragments", some.fragments, new LinkedHashSet<>(numbers));

    AmazonKinesisVideoMedia live =
        AmazonKinesisVideoMediaClientBuilder.standard().withEndpointConfiguration(endpoint("GET_MEDIA")).build();
    StartSelector oldest = new StartSelector().withStartSelectorType(StartSelectorType.EARLIEST);
    Counter all = new Counter(FRAMES);
    all.read(live.getMedia(new GetMediaRequest().withStreamName(NAME).withStartSelector(oldest)).getPayload());
    equal("frames of GetMedia", all.video, FRAMES);
    equal("its fragments", all.fragments, new LinkedHashSet<>(numbers));
    System.exit(0);
  }

  static EndpointConfiguration endpoint(String operation) {
    GetDataEndpointRequest request = new GetDataEndpointRequest().withStreamName(NAME).withAPIName(operation);
    return new EndpointConfiguration(kvs.getDataEndpoint(request).getDataEndpoint(), REGION);
  }

  /** Sends the file in real AWS fashion: relative times, acknowledgements read as they come. */
  static void put() throws Exception {
    Set<String> persisted = Collections.synchronizedSet(new HashSet<>());
    List<String> trouble = Collections.synchronizedList(new ArrayList<>());
    CountDownLatch done = new CountDownLatch(1);
    AmazonKinesisVideoPutMedia client =
        AmazonKinesisVideoPutMediaClient.builder()
            .withRegion(REGION)
            .withEndpoint(URI.create(endpoint("PUT_MEDIA").getServiceEndpoint()))
            .withCredentials(DefaultAWSCredentialsProviderChain.getInstance())
            .withConnectionTimeoutInMillis(10_000)
            .withNumberOfThreads(1)
            .build();
    InputStream file = Files.newInputStream(Path.of(System.getenv("FOOTAGE")));
    client.putMedia(
        new PutMediaRequest()
            .withStreamName(NAME)
            .withFragmentTimecodeType(FragmentTimecodeType.RELATIVE)
            .withProducerStartTimestamp(new Date(System.currentTimeMillis() - 60_000))
            .withPayload(file),
        new PutMediaAckResponseHandler() {
          @Override
          public void onAckEvent(AckEvent event) {
            String type = event.getAckEventType().toString();
            if (type.equals("PERSISTED")) persisted.add(event.getFragmentNumber());
            if (type.equals("ERROR")) trouble.add(event.toString());
          }

          @Override
          public void onFailure(Throwable t) {
            trouble.add(t.toString());
            done.countDown();
          }

          @Override
          public void onComplete() {
            done.countDown();
          }
        });
    equal("PutMedia ended", done.await(60, TimeUnit.SECONDS), true);
    client.close();
    equal("trouble", trouble, List.of());
    equal("fragments acknowledged", persisted.size(), FRAGMENTS);
  }

  static List<Fragment> list() {
    AmazonKinesisVideoArchivedMedia archive =
        AmazonKinesisVideoArchivedMediaClientBuilder.standard()
            .withEndpointConfiguration(endpoint("LIST_FRAGMENTS"))
            .build();
    TimestampRange range = new TimestampRange().withStartTimestamp(new Date(0)).withEndTimestamp(new Date(4_000_000_000_000L));
    FragmentSelector selector =
        new FragmentSelector().withFragmentSelectorType(FragmentSelectorType.SERVER_TIMESTAMP).withTimestampRange(range);
    List<Fragment> found = new ArrayList<>();
    String token = null;
    do {
      ListFragmentsRequest request =
          token == null
              ? new ListFragmentsRequest().withStreamName(NAME).withFragmentSelector(selector).withMaxResults(5L)
              : new ListFragmentsRequest().withStreamName(NAME).withNextToken(token);
      ListFragmentsResult result = archive.listFragments(request);
      found.addAll(result.getFragments());
      token = result.getNextToken();
    } while (token != null);
    found.sort(Comparator.comparing(Fragment::getProducerTimestamp));
    return found;
  }

  /** Counts video frames and collects the numbers of the fragments that they are in. */
  static class Counter implements FrameVisitor.FrameProcessor {
    final int enough;
    int video = 0;
    final Set<String> fragments = new LinkedHashSet<>();

    Counter(int enough) {
      this.enough = enough;
    }

    void read(InputStream body) throws Exception {
      StreamingMkvReader reader = StreamingMkvReader.createDefault(new InputStreamParserByteSource(body));
      FrameVisitor visitor = FrameVisitor.create(this);
      // GetMedia goes on: it waits for what the camera sends next.
      while (video < enough && reader.mightHaveNext()) {
        var element = reader.nextIfAvailable();
        if (element.isPresent()) element.get().accept(visitor);
      }
    }

    @Override
    public void process(Frame frame, MkvTrackMetadata track, Optional<FragmentMetadata> fragment) {
      if (!track.getCodecId().startsWith("V_")) return;
      video += 1;
      FragmentMetadata metadata = fragment.orElseThrow();
      equal("success", metadata.isSuccess(), true);
      fragments.add(metadata.getFragmentNumberString());
    }
  }

  static void equal(String what, Object found, Object expected) {
    if (found instanceof Set<?> a && expected instanceof Set<?> b ? !List.copyOf(a).equals(List.copyOf(b)) : !found.equals(expected)) {
      throw new AssertionError(what + ": expected " + expected + ", found " + found);
    }
  }
}
