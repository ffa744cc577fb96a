import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads all partitions to their given ends, and writes a transcript of each. */
final class Read {
    private final Arguments arguments;
    private final Path folder;
    private final List<TopicPartition> partitions = new ArrayList<>();

    private Read(Arguments arguments) throws Exception {
        this.arguments = arguments;
        this.folder = Files.createDirectories(Path.of(arguments.text("out")));
        for (int number = 0; number < arguments.number("partitions", 1); number++)
            partitions.add(new TopicPartition(arguments.text("topic"), number));
    }

    static void run(Arguments arguments) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments.text("broker"));
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "none");
        settings.put("max.partition.fetch.bytes", "4194304");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            new Read(arguments).read(consumer);
        }
    }

    private void read(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
        consumer.assign(partitions);
        long[] ends = arguments.numbers("ends");
        Map<TopicPartition, Long> starts = starts(consumer);
        Set<Integer> open = new HashSet<>();
        DataOutputStream[] files = new DataOutputStream[ends.length];
        for (TopicPartition partition : partitions) {
            int number = partition.partition();
            consumer.seek(partition, starts.get(partition));
            if (starts.get(partition) < ends[number]) open.add(number);
            Path file = folder.resolve(Integer.toString(number));
            files[number] = new DataOutputStream(
                new BufferedOutputStream(new FileOutputStream(file.toFile())));
        }
        while (!open.isEmpty()) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                int number = record.partition();
                if (record.offset() < ends[number]) write(files[number], record);
                if (record.offset() + 1 >= ends[number]) open.remove(number);
            }
        }
        for (DataOutputStream file : files) file.close();
    }

    private void write(DataOutputStream file, ConsumerRecord<byte[], byte[]> record)
            throws Exception {
        file.writeLong(record.offset());
        file.writeLong(record.timestamp());
        file.write(Records.digest(record.key(), record.value(), record.headers()));
    }

    private Map<TopicPartition, Long> starts(KafkaConsumer<byte[], byte[]> consumer)
            throws Exception {
        String start = arguments.text("start");
        if (start.equals("beginning")) return consumer.beginningOffsets(partitions);
        long[] given = Arguments.split(start.substring(start.indexOf(':') + 1));
        Map<TopicPartition, Long> starts = new HashMap<>();
        if (start.startsWith("offsets:")) {
            for (TopicPartition partition : partitions)
                starts.put(partition, given[partition.partition()]);
            return starts;
        }
        Map<TopicPartition, Long> times = new HashMap<>();
        for (TopicPartition partition : partitions) times.put(partition, given[0]);
        consumer.offsetsForTimes(times).forEach((partition, found) ->
            starts.put(partition, found.offset()));
        List<String> lines = new ArrayList<>();
        for (TopicPartition partition : partitions) lines.add(starts.get(partition).toString());
        Files.write(folder.resolve("found"), lines);
        return starts;
    }
}
