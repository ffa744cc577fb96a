import java.util.Arrays;

/** The Java client: produces and reads. */
public final class Client {
    public static void main(String[] all) throws Exception {
        Arguments arguments = new Arguments(Arrays.copyOfRange(all, 1, all.length));
        switch (all[0]) {
            case "produce" -> Produce.run(arguments);
            case "read" -> Read.run(arguments);
            default -> throw new IllegalArgumentException(all[0]);
        }
        System.exit(0);
    }
}
