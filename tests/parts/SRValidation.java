/*
 * PixelMed's DicomSRValidator over many files: its own command takes one, and starting it takes seconds.
 *
 * Prints "== " and the path before what is said of each file. Run with
 *   java -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0 \
 *        -cp /usr/share/java/pixelmed.jar SRValidation.java FILE...
 */

import com.pixelmed.validate.DicomSRValidator;

public class SRValidation {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        validator.setOptionCheckTemplateID(true);
        validator.setOptionCheckContentItemOrder(true);
        for (String path : paths) {
            System.out.println("== " + path);
            System.out.println(validator.validate(path));
        }
    }
}
