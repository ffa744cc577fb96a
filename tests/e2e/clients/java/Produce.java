import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Produces, and writes into the ledger what was acked, at the ack. */
final class Produce {
    private final Arguments arguments;
    private final FileOutputStream ledger;
    private final AtomicReference<Exception> failed = new AtomicReference<>();

    private Produce(Arguments arguments) throws Exception {
        this.arguments = arguments;
        this.ledger = new FileOutputStream(arguments.text("ledger"), true);
    }

    static void run(Arguments arguments) throws Exception {
        Produce produce = new Produce(arguments);
        for (String codec : arguments.text("codecs", "none").split(",")) produce.codec(codec);
        if (produce.failed.get() != null) throw produce.failed.get();
    }

    private void codec(String codec) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments.text("broker"));
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        settings.put("compression.type", codec);
        settings.put("acks", "all");
        settings.put("linger.ms", "5");
        settings.put("reconnect.backoff.max.ms", "500");
        // For ever: a broker that is down for a while loses nothing.
        settings.put("delivery.timeout.ms", Integer.toString(Integer.MAX_VALUE));
        Records source = new Records(arguments.text("name") + "-" + codec, arguments);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            if (arguments.has("rate")) {
                atRate(producer, source, arguments.number("rate", 0));
                return;
            }
            long records = arguments.number("records", Long.MAX_VALUE);
            long bytes = arguments.number("bytes", Long.MAX_VALUE);
            for (long sent = 0, count = 0; sent < bytes && count < records; count++) {
                Records.Made made = source.next();
                send(producer, made);
                sent += made.size();
            }
        }
    }

    /** Until standard input ends. */
    private void atRate(KafkaProducer<byte[], byte[]> producer, Records source, long rate)
            throws Exception {
        CountDownLatch toldToEnd = new CountDownLatch(1);
        Thread input = new Thread(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException closed) {
                // Ended as well.
            }
            toldToEnd.countDown();
        });
        input.setDaemon(true);
        input.start();
        long begun = System.nanoTime();
        for (long sent = 0; !toldToEnd.await(5, TimeUnit.MILLISECONDS) && failed.get() == null; ) {
            long due = (System.nanoTime() - begun) / 1_000_000 * rate / 1000;
            // Blocks while the broker is down and the buffer is full; not made up for afterwards.
            while (sent < due) {
                send(producer, source.next());
                sent++;
                if (due - sent > rate) due = sent;
            }
        }
    }

    private void send(KafkaProducer<byte[], byte[]> producer, Records.Made made) throws Exception {
        byte[] digest = Records.digest(made.key(), made.value(), made.headers());
        var record = new ProducerRecord<>(arguments.text("topic"), made.partition(),
            made.timestamp(), made.key(), made.value(), made.headers());
        producer.send(record, (ack, error) -> {
            try {
                if (error != null) throw error;
                acked(made, ack.offset(), ack.timestamp(), digest);
            } catch (Exception failure) {
                failed.compareAndSet(null, failure);
            }
        });
    }

    private void acked(Records.Made made, long offset, long timestamp, byte[] digest)
            throws Exception {
        ByteArrayOutputStream entry = new ByteArrayOutputStream(44);
        DataOutputStream out = new DataOutputStream(entry);
        out.writeInt(made.partition());
        out.writeLong(offset);
        out.writeLong(timestamp);
        out.writeLong(made.number());
        out.write(digest);
        ledger.write(entry.toByteArray());
    }
}
