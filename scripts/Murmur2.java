import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

/** Prints where Kafka's own client sends ids: what eventstore.PartitionOf must do too. Run by scripts/murmur2. */
public final class Murmur2 {
    private static final int[] PARTITIONS = {3, 12, 1000};

    public static void main(String[] args) {
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        out.println("# Written by scripts/murmur2 with Kafka's Java client. Hashes are signed; ids are quoted as in Go.");
        out.println("# id\tmurmur2\tof 3\tof 12\tof 1000");
        for (String id : ids()) {
            byte[] key = id.getBytes(StandardCharsets.UTF_8);
            var line = new StringBuilder(quote(id)).append('\t').append(Utils.murmur2(key));
            for (int partitions : PARTITIONS) {
                line.append('\t').append(BuiltInPartitioner.partitionForKey(key, partitions));
            }
            out.println(line);
        }
        out.flush();
    }

    private static Set<String> ids() {
        var ids = new LinkedHashSet<String>();
        ids.add("");
        // Every length of the tail that four bytes leave, with high bytes in it too.
        String tail = "abcdefghijklmnopq";
        for (int n = 1; n <= tail.length(); n++) {
            ids.add(tail.substring(0, n));
            ids.add("\u00ff".repeat(n));
            ids.add("x".repeat(n - 1) + "\u0000");
        }
        for (String id : new String[] {
            "account-123", "alice", "bob", "customer-42", "external:bank:EUR", "in-transit:EUR", "ALICE", "Alice", " ", "\t",
            "é", "e\u0301", "Zoë", "再见", "口座一", "счёт", "λ", "👋", "👩‍👩‍👧", "a👋", "ab👋", "abc👋", "\u2028", "\ufeff",
            "a".repeat(64), "a".repeat(255), "0".repeat(1000),
        }) {
            ids.add(id);
        }
        var random = new Random(42); // Its sequence is part of Java's specification.
        for (int i = 0; i < 100; i++) {
            ids.add(new UUID(random.nextLong(), random.nextLong()).toString());
            ids.add("account-" + i);
        }
        for (int i = 0; i < 100; i++) {
            var id = new StringBuilder();
            for (int n = 1 + random.nextInt(20); n > 0; n--) {
                id.appendCodePoint(0x21 + random.nextInt(0x3000));
            }
            ids.add(id.toString());
        }
        return ids;
    }

    private static String quote(String s) {
        var quoted = new StringBuilder("\"");
        s.codePoints().forEach(c -> {
            if (c == '"' || c == '\\') {
                quoted.append('\\').appendCodePoint(c);
            } else if (c >= 0x20 && c < 0x7f) {
                quoted.appendCodePoint(c);
            } else {
                quoted.append(String.format(c < 0x10000 ? "\\u%04x" : "\\U%08x", c));
            }
        });
        return quoted.append('"').toString();
    }
}
