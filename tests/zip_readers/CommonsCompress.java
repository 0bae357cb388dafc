import java.io.BufferedInputStream;
import java.io.PrintStream;
import java.security.MessageDigest;
import java.util.HexFormat;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveInputStream;

/** Reads a ZIP from standard input with Apache Commons Compress. */
public class CommonsCompress {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        byte[] buffer = new byte[65536];
        try (ZipArchiveInputStream zip =
                new ZipArchiveInputStream(new BufferedInputStream(System.in))) {
            for (ZipArchiveEntry entry = zip.getNextZipEntry();
                    entry != null;
                    entry = zip.getNextZipEntry()) {
                MessageDigest digest = MessageDigest.getInstance("SHA-256");
                for (int read = zip.read(buffer); read >= 0; read = zip.read(buffer)) {
                    digest.update(buffer, 0, read);
                }
                out.println(HexFormat.of().formatHex(digest.digest()) + "\t" + entry.getName());
            }
        }
        out.flush();
    }
}
