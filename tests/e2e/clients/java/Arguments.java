import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** The command line of arguments.py: a command, then names and values. */
final class Arguments {
    private final Map<String, String> given = new HashMap<>();

    Arguments(String[] arguments) {
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            if (!arguments[at].startsWith("--")) throw new IllegalArgumentException(arguments[at]);
            given.put(arguments[at].substring(2), arguments[at + 1]);
        }
    }

    boolean has(String name) {
        return given.containsKey(name);
    }

    String text(String name) {
        String text = given.get(name);
        if (text == null) throw new IllegalArgumentException("--" + name + " is missing");
        return text;
    }

    String text(String name, String otherwise) {
        return given.getOrDefault(name, otherwise);
    }

    long number(String name, long otherwise) {
        return has(name) ? Long.parseLong(text(name)) : otherwise;
    }

    long[] numbers(String name) {
        return split(text(name));
    }

    static long[] split(String text) {
        return Arrays.stream(text.split(",")).mapToLong(Long::parseLong).toArray();
    }
}
