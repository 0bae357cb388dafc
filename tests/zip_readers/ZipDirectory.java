import java.io.InputStream;
import java.io.PrintStream;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** Reads the ZIP that the argument names with java.util.zip.ZipFile. */
public class ZipDirectory {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        try (ZipFile zip = new ZipFile(arguments[0])) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                try (InputStream in = zip.getInputStream(entry)) {
                    MessageDigest digest = MessageDigest.getInstance("SHA-256");
                    digest.update(in.readAllBytes());
                    out.println(HexFormat.of().formatHex(digest.digest()) + "\t" + entry.getName());
                }
            }
        }
        out.flush();
    }
}
