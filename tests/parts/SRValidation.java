/*
 * PixelMed's DicomSRValidator over many files: its own command takes one, and starting it takes seconds.
 *
 * Prints "== " and the path before what is said of each file. Run with
 *   java -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0 \
 *        -cp /usr/share/java/pixelmed.jar SRValidation.java FILE...
 */

import com.pixelmed.validate.DicomSRValidator;
import java.lang.reflect.Field;
import javax.xml.transform.Source;
import javax.xml.transform.Transformer;
import javax.xml.transform.URIResolver;

public class SRValidation {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        validator.setOptionCheckTemplateID(true);
        validator.setOptionCheckContentItemOrder(true);
        for (String pass : new String[] {"transformerPass1", "transformerPass2"}) {
            keepDocuments(validator, pass);
        }
        for (String path : paths) {
            System.out.println("== " + path);
            System.out.println(validator.validate(path));
        }
    }

    /*
     * Its resolver gives documents without their address. A style sheet looks for a document that it has loaded by its
     * address: without one it parses the context groups, 664 kB, anew for each code of a report.
     */
    private static void keepDocuments(DicomSRValidator validator, String pass) throws ReflectiveOperationException {
        Field field = DicomSRValidator.class.getDeclaredField(pass);
        field.setAccessible(true);
        Transformer transformer = (Transformer) field.get(validator);
        URIResolver resolver = transformer.getURIResolver();
        transformer.setURIResolver((href, base) -> {
            Source source = resolver.resolve(href, base);
            if (source != null && source.getSystemId() == null) {
                source.setSystemId(href);
            }
            return source;
        });
    }
}
