//! Azure names: the container, the storage account and the host of a location.

use crate::location::Location;

/// Why a location is not in a container of a storage account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{location} names no container of a storage account: it must be \
     abfss://container@account.dfs.core.windows.net/folder, wasbs://container@account.blob.core.windows.net/folder, or \
     the same with the host of another of Azure's clouds"
)]
pub struct AzureNameError {
    location: String,
}

/// A container of a storage account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureContainer {
    container: String,
    account: String,
    /// The account's host before and after the service label, such as `account.` and `.core.windows.net`.
    before_service: String,
    after_service: String,
}

impl AzureContainer {
    /// Reads the container of a location.
    ///
    /// Accepts one spelling: `abfs` and `abfss` with the host of the service `dfs`, `wasb` and `wasbs` with the host of the
    /// service `blob`, as the drivers define these names.
    ///
    /// # Errors
    /// Fails if the location has another spelling.
    pub fn parse(location: &Location) -> Result<Self, AzureNameError> {
        let refused = || AzureNameError { location: location.as_str().chars().take(200).collect() };
        Self::read(location.scheme(), location.authority()).ok_or_else(refused)
    }

    /// Reads the scheme and authority of a location, both in lower case.
    pub(crate) fn read(scheme: &str, authority: &str) -> Option<Self> {
        let service = match scheme {
            "abfs" | "abfss" => ".dfs.",
            "wasb" | "wasbs" => ".blob.",
            _ => return None,
        };
        let (container, host) = authority.split_once('@')?;
        let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_container = is_name(container.strip_prefix('$').unwrap_or(container));
        let at = host.find(service)?;
        let before_service = &host[..=at];
        let after_service = &host[at + service.len() - 1..];
        // `account.`, or `account.z01.` with a DNS zone.
        let mut labels = before_service.trim_end_matches('.').split('.');
        let account = labels.next().filter(|account| is_name(account))?;
        let is_host = labels.all(is_name)
            && after_service.len() > 1
            && after_service[1..].split('.').count() > 1
            && after_service[1..].split('.').all(is_name);
        (is_container && is_host).then(|| Self {
            container: container.to_owned(),
            account: account.to_owned(),
            before_service: before_service.to_owned(),
            after_service: after_service.to_owned(),
        })
    }

    /// Returns the container's name.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.container
    }

    /// Returns the account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the host of the account's service `dfs`, for Data Lake clients: `account.dfs.core.windows.net`.
    #[must_use]
    pub fn dfs_host(&self) -> String {
        format!("{}dfs{}", self.before_service, self.after_service)
    }

    /// Returns the host of the account's service `blob`: `account.blob.core.windows.net`.
    #[must_use]
    pub fn blob_host(&self) -> String {
        format!("{}blob{}", self.before_service, self.after_service)
    }

    /// Returns the parts of these hosts after the account's name, for `blob` and `dfs`, such as
    /// `.blob.core.chinacloudapi.cn`. `None` if they are the ones that clients assume.
    #[must_use]
    pub fn unusual_authorities(&self) -> Option<(String, String)> {
        let behind = |host: String| host[self.account.len()..].to_owned();
        let (blob, dfs) = (behind(self.blob_host()), behind(self.dfs_host()));
        (blob != ".blob.core.windows.net").then_some((blob, dfs))
    }
}

/// Returns the spelling of `location` with the scheme and host of `root`, if it lies below `root` in another spelling.
/// Also accepts a scheme of one Azure service with the host of the other.
#[must_use]
pub fn spelling_below(location: &Location, root: &Location) -> Option<String> {
    if !matches!(location.scheme(), "abfs" | "abfss" | "wasb" | "wasbs") {
        return None;
    }
    // The host decides which service is meant, whatever the scheme.
    let scheme = if location.authority().contains(".dfs.") { "abfss" } else { "wasbs" };
    let respelt = Location::parse(&format!("{scheme}://{}{}", location.authority(), location.path())).ok()?;
    if AzureContainer::parse(&respelt) != AzureContainer::parse(root) {
        return None;
    }
    let spelt = Location::parse(&format!("{}://{}{}", root.scheme(), root.authority(), location.path())).ok()?;
    (root.contains(&spelt) && spelt.as_str() != location.as_str()).then(|| spelt.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn account_and_container_are_read_in_every_cloud() {
        for (location, account, blob, dfs) in [
            ("abfss://c@a.dfs.core.windows.net/x", "a", "a.blob.core.windows.net", "a.dfs.core.windows.net"),
            ("abfs://c@a.dfs.core.windows.net", "a", "a.blob.core.windows.net", "a.dfs.core.windows.net"),
            ("wasbs://C@A.blob.core.windows.net/x", "a", "a.blob.core.windows.net", "a.dfs.core.windows.net"),
            (
                "abfss://c@a.dfs.core.chinacloudapi.cn/x",
                "a",
                "a.blob.core.chinacloudapi.cn",
                "a.dfs.core.chinacloudapi.cn",
            ),
            (
                "wasbs://c@a.blob.core.usgovcloudapi.net",
                "a",
                "a.blob.core.usgovcloudapi.net",
                "a.dfs.core.usgovcloudapi.net",
            ),
            (
                "abfss://c@a.z01.dfs.storage.azure.net/x",
                "a",
                "a.z01.blob.storage.azure.net",
                "a.z01.dfs.storage.azure.net",
            ),
            (
                "abfss://c@onelake.dfs.fabric.microsoft.com/x",
                "onelake",
                "onelake.blob.fabric.microsoft.com",
                "onelake.dfs.fabric.microsoft.com",
            ),
        ] {
            let container = AzureContainer::parse(&at(location)).unwrap();
            assert_eq!(container.container(), "c", "{location}");
            assert_eq!(container.account(), account, "{location}");
            assert_eq!((container.blob_host(), container.dfs_host()), (blob.to_owned(), dfs.to_owned()), "{location}");
        }
    }

    #[test]
    fn hosts_outside_the_public_cloud_are_returned() {
        let unusual = |location: &str| AzureContainer::parse(&at(location)).unwrap().unusual_authorities();
        assert_eq!(unusual("abfss://c@a.dfs.core.windows.net/x"), None);
        assert_eq!(
            unusual("abfss://c@a.dfs.core.chinacloudapi.cn/x"),
            Some((".blob.core.chinacloudapi.cn".to_owned(), ".dfs.core.chinacloudapi.cn".to_owned()))
        );
        assert_eq!(unusual("abfss://c@a.z1.dfs.storage.azure.net").unwrap().0, ".z1.blob.storage.azure.net");
    }

    #[test]
    fn another_spelling_is_refused() {
        for location in [
            "s3://bucket/x",
            "abfss://account.dfs.core.windows.net/container",
            "abfss://@a.dfs.core.windows.net/x",
            "abfss://c@.dfs.core.windows.net/x",
            "abfss://c@a.blob.core.windows.net/x",
            "wasbs://c@a.dfs.core.windows.net/x",
            "abfss://c@a/x",
            "abfss://c@a.dfs.local/x",
            "abfss://c@a.dfs./x",
            "abfss://c@127.0.0.1:10000/x",
            "abfss://c@a.dfs.core.windows.net:443/x",
            "abfss://c@d@a.dfs.core.windows.net/x",
            "abfss://c:k@a.dfs.core.windows.net/x",
            "abfss://c@a.dfs.core..net/x",
        ] {
            assert!(AzureContainer::parse(&at(location)).is_err(), "{location}");
        }
    }

    #[test]
    fn alias_below_the_root_is_respelled_and_another_location_is_not() {
        let root = at("abfss://c@a.dfs.core.windows.net/lake");
        for alias in [
            "abfs://c@a.dfs.core.windows.net/lake/t",
            "wasbs://c@a.blob.core.windows.net/lake/t",
            "wasb://c@a.blob.core.windows.net/lake/t",
            "abfss://c@a.blob.core.windows.net/lake/t",
        ] {
            let spelling = spelling_below(&at(alias), &root);
            assert_eq!(spelling.as_deref(), Some("abfss://c@a.dfs.core.windows.net/lake/t"), "{alias}");
        }
        for other in [
            "abfss://c@a.dfs.core.windows.net/lake/t",
            "wasbs://c@a.blob.core.windows.net/lake2/t",
            "wasbs://d@a.blob.core.windows.net/lake/t",
            "wasbs://c@b.blob.core.windows.net/lake/t",
            "wasbs://c@a.blob.core.chinacloudapi.cn/lake/t",
            "s3://c/lake/t",
        ] {
            assert_eq!(spelling_below(&at(other), &root), None, "{other}");
        }
        let blob_root = at("wasbs://c@a.blob.core.windows.net/lake");
        assert_eq!(
            spelling_below(&at("abfss://c@a.dfs.core.windows.net/lake/t"), &blob_root).as_deref(),
            Some("wasbs://c@a.blob.core.windows.net/lake/t")
        );
    }
}
