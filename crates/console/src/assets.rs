//! The files that pages load: one style sheet, one script, one icon. Their names contain a hash of their content, so browsers may keep
//! them for ever.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file that pages load.
#[derive(Debug)]
pub struct Asset {
    /// Its name, with the hash of its content.
    pub name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// The folder of the files, relative to the pages.
const FOLDER: &str = "assets-";

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("console", "css", "text/css; charset=utf-8", include_str!("../assets/console.css")),
        asset("console", "js", "text/javascript; charset=utf-8", include_str!("../assets/console.js")),
        asset("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ]
});

fn asset(stem: &str, extension: &str, content_type: &'static str, content: &'static str) -> Asset {
    let digest = Sha256::digest(content.as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{FOLDER}{stem}.{hash}.{extension}"), content_type, content }
}

/// Finds a file by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Returns the name of the style sheet.
#[must_use]
pub fn style() -> &'static str {
    &ASSETS[0].name
}

/// Returns the name of the script.
#[must_use]
pub fn script() -> &'static str {
    &ASSETS[1].name
}

/// Returns the name of the icon.
#[must_use]
pub fn icon() -> &'static str {
    &ASSETS[2].name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_hash_and_lead_to_the_files() {
        for name in [style(), script(), icon()] {
            assert_eq!(find(name).unwrap().name, name);
            let hash = name.split('.').nth(1).unwrap();
            assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        }
        assert!(find("assets-console.css").is_none());
    }

    #[test]
    fn files_request_nothing_from_elsewhere() {
        for asset in ASSETS.iter() {
            let text = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("url("), "{}", asset.name);
        }
    }

    #[test]
    fn first_page_loads_less_than_100_kb() {
        let size: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
        assert!(size < 60_000, "{size}");
    }
}
