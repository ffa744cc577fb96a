import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Records to produce, and the digest by which they are known again: see records.py. */
final class Records {
    record Made(long number, int partition, long timestamp, byte[] key, byte[] value,
                List<Header> headers) {
        int size() {
            return (key == null ? 0 : key.length) + (value == null ? 0 : value.length);
        }
    }

    private final String name;
    private final Arguments arguments;
    private final Random choice;
    private long number = 0;

    Records(String name, Arguments arguments) {
        this.name = name;
        this.arguments = arguments;
        this.choice = new Random((arguments.text("seed", "0") + " " + name).hashCode());
    }

    Made next() {
        double low = Math.log(arguments.number("size-min", 100));
        double high = Math.log(arguments.number("size-max", 1000));
        int size = (int) Math.exp(low + choice.nextDouble() * (high - low));
        byte[] value = content((name + ":" + number + ":").getBytes(StandardCharsets.UTF_8), size);
        byte[] key = choice.nextDouble() < 0.2 ? null : text(name + "/" + number);
        if (key != null && choice.nextDouble() < 0.05) value = null;
        List<Header> headers = new ArrayList<>();
        headers.add(new RecordHeader("writer", text(name)));
        headers.add(new RecordHeader("number", text(Long.toString(number))));
        headers.add(new RecordHeader("none", (byte[]) null));
        headers = headers.subList(0, choice.nextInt(4));
        int partition = choice.nextInt((int) arguments.number("partitions", 1));
        long timestamp = arguments.number("start-ms", 0) + number * arguments.number("step-ms", 1000);
        return new Made(number++, partition, timestamp, key, value, headers);
    }

    /** Half of it compresses. */
    private byte[] content(byte[] tag, int size) {
        int half = Math.max(0, size - tag.length) / 2;
        byte[] random = new byte[half];
        choice.nextBytes(random);
        ByteBuffer content = ByteBuffer.allocate(tag.length + half + 4 * (half / 4 + 1));
        content.put(tag).put(random);
        while (content.hasRemaining()) content.put(text("snow"));
        return content.array();
    }

    static byte[] digest(byte[] key, byte[] value, Iterable<Header> headers) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        sized(digest, key);
        sized(digest, value);
        int count = 0;
        for (Header ignored : headers) count++;
        digest.update(ByteBuffer.allocate(4).putInt(count).array());
        for (Header header : headers) {
            sized(digest, text(header.key()));
            sized(digest, header.value());
        }
        return java.util.Arrays.copyOf(digest.digest(), 16);
    }

    private static void sized(MessageDigest digest, byte[] data) {
        digest.update(ByteBuffer.allocate(4).putInt(data == null ? -1 : data.length).array());
        if (data != null) digest.update(data);
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
