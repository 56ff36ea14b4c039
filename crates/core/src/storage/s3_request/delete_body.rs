//! Reads the names of the objects in the body of `DeleteObjects`.
//!
//! Accepts only the XML that S3 clients write (Amazon S3 API, `DeleteObjects`). Refuses comments, CDATA sections, declared
//! entities and namespace prefixes: a store could read them in another way, and remove objects that were not checked here.

const NAMESPACE: &str = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
/// The most objects in one request (Amazon S3 API, `DeleteObjects`).
const MOST_OBJECTS: usize = 1_000;

/// Returns the names of the objects.
pub(super) fn keys(body: &str) -> Result<Vec<String>, &'static str> {
    let mut xml = Reader(body.trim());
    if let Some(declared) = xml.0.strip_prefix("<?xml ") {
        let (declaration, rest) = declared.split_once("?>").ok_or("it is not XML")?;
        let is_utf8 = !declaration.contains("encoding") || declaration.to_ascii_lowercase().contains("\"utf-8\"");
        if declaration.contains('<') || !is_utf8 {
            return Err("its XML declaration is not of a document in UTF-8");
        }
        xml.0 = rest;
    }
    xml.space();
    if !xml.take("<Delete") {
        return Err("it does not begin with a Delete element");
    }
    xml.take(NAMESPACE);
    if !xml.take(">") {
        return Err("it does not begin with a Delete element of Amazon S3");
    }
    let mut keys = Vec::new();
    loop {
        xml.space();
        if xml.take("</Delete>") {
            break;
        } else if xml.take("<Object>") {
            xml.space();
            keys.push(xml.text("<Key>", "</Key>")?);
            xml.space();
            if !xml.take("</Object>") {
                return Err("an Object in it has something other than one Key, such as a VersionId");
            }
        } else if xml.0.starts_with("<Quiet>") {
            xml.text("<Quiet>", "</Quiet>")?;
        } else {
            return Err("it has something other than Object and Quiet");
        }
    }
    match (xml.0.is_empty(), keys.len()) {
        (false, _) => Err("something follows its Delete element"),
        (true, 0) => Err("it names no object"),
        (true, 1..=MOST_OBJECTS) => Ok(keys),
        (true, _) => Err("it names more than 1,000 objects"),
    }
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn text(&mut self, open: &str, close: &str) -> Result<String, &'static str> {
        if !self.take(open) {
            return Err("an Object in it does not begin with its Key");
        }
        let (text, _) = self.0.split_once('<').ok_or("it is not XML")?;
        self.0 = &self.0[text.len()..];
        if self.take(close) { unescape(text) } else { Err("it is not XML that clients of S3 write") }
    }
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, behind) = after.split_once(';').ok_or("it has an '&' that is not escaped")?;
        plain.push_str(before);
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered(entity).ok_or("it has an entity that is not known")?,
        });
        rest = behind;
    }
    plain.push_str(rest);
    Ok(plain)
}

fn numbered(entity: &str) -> Option<char> {
    let number = entity.strip_prefix('#')?;
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then(|| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bodies_of_known_clients_are_read() {
        let botocore = r#"<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a/b</Key></Object><Quiet>true</Quiet></Delete>"#;
        assert_eq!(keys(botocore).unwrap(), ["a/b"]);
        let java = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <Object><Key>a&amp;b</Key></Object><Object><Key>c&#x20;d&#10;</Key></Object></Delete>\n";
        assert_eq!(keys(java).unwrap(), ["a&b", "c d\n"]);
    }

    #[test]
    fn ambiguous_xml_is_refused() {
        let object = "<Object><Key>a</Key></Object>";
        for body in [
            String::new(),
            "<Delete></Delete>".to_owned(),
            object.to_owned(),
            format!("<Delete>{object}</Delete>{object}"),
            format!("<Delete>{object}<!-- x --></Delete>"),
            format!("<!DOCTYPE d [<!ENTITY e \"b\">]><Delete>{object}</Delete>"),
            format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?><Delete>{object}</Delete>"),
            "<Delete><Object><Key><![CDATA[b]]></Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key>a<x/>b</Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key>a</Key><VersionId>1</VersionId></Object></Delete>".to_owned(),
            "<Delete><Object><Key>&e;</Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key>&#x;</Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key>a & b</Key></Object></Delete>".to_owned(),
            "<Delete><Object></Object></Delete>".to_owned(),
            "<s:Delete xmlns:s=\"x\"><s:Object><s:Key>a</s:Key></s:Object></s:Delete>".to_owned(),
            format!("<Delete xmlns=\"x\">{object}</Delete>"),
            format!("<Delete>{}</Delete>", object.repeat(1_001)),
        ] {
            assert!(keys(&body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in "(<|>|/|Delete|Object|Key|&|;|#|x|a|\\?|xml| ){0,30}") {
            let _ = keys(&text);
        }
    }
}
