//! Advice for a warehouse whose storage does not work with its settings, for each cloud.

use super::Vendor;

impl Vendor {
    /// Returns why the settings allow no vended credentials.
    #[must_use]
    pub const fn why_none(&self) -> &'static str {
        match self {
            Self::None => "the local disk has none",
            Self::S3(_) => "no `role-arn` is set, so there is no role whose sessions could be vended",
            Self::Azure(vendor) => vendor.why_none(),
            Self::Google(_) => "`vended-credentials` is off: clients use credentials of their own",
        }
    }

    /// Returns the advice for vended credentials that reach too much.
    #[must_use]
    pub const fn when_too_wide(&self) -> &'static str {
        match self {
            Self::None | Self::S3(_) => {
                "the store does not enforce session policies, so set no `role-arn`, and let the catalog sign requests instead"
            }
            Self::Azure(_) => "the store does not keep signatures to their folder: set `vended-credentials = false`",
            Self::Google(_) => "the store does not enforce access boundaries: set `vended-credentials = false`",
        }
    }

    /// Returns the advice for a store that refuses the catalog itself.
    #[must_use]
    pub const fn when_refused(&self) -> &'static str {
        match self {
            Self::None => "check that this user may read and write there",
            Self::S3(_) => {
                "check `access-key-id` and `secret-access-key` in the section [credentials], and that the policy of that key allows \
                 reading, writing, listing and removing objects below the root"
            }
            Self::Azure(_) => {
                "check the account's name in the root and `account-key`, or that the identity has the role 'Storage Blob Data \
                 Contributor' on the container"
            }
            Self::Google(_) => {
                "check the credentials, and that the service account has the role 'Storage Object User' on the bucket"
            }
        }
    }

    /// Returns the advice for a bucket, container or folder that does not exist.
    #[must_use]
    pub const fn when_not_found(&self) -> &'static str {
        match self {
            Self::None => "check the folder's name",
            Self::S3(_) => {
                "check the bucket's name in the root, `region` and `endpoint`; most stores but Amazon's need `path-style = true`"
            }
            Self::Azure(_) => {
                "check the container's name, which stands before the '@' of the root: it must be there already"
            }
            Self::Google(_) => "check the bucket's name: it must be there already",
        }
    }

    /// Returns the advice for a store that does not answer.
    #[must_use]
    pub const fn when_unavailable(&self) -> &'static str {
        match self {
            Self::None => "check that the folder's disk is there and works",
            Self::S3(_) => {
                "check `endpoint`, `region` and the bucket's name in the root, and that this machine reaches the store; most stores \
                 but Amazon's need `path-style = true`"
            }
            Self::Azure(_) => {
                "check the account's name in the root, `endpoint` and the section [credentials], and that this machine reaches it"
            }
            Self::Google(_) => "check `endpoint` and the section [credentials], and that this machine reaches it",
        }
    }

    /// Returns the advice for a store that refuses vended credentials.
    #[must_use]
    pub const fn when_vended_is_refused(&self) -> &'static str {
        match self {
            Self::None | Self::S3(_) => "check the policy of the role in `role-arn`",
            Self::Azure(_) => {
                "if the account has no hierarchical namespace (Data Lake Storage Gen2), set `hierarchical-namespace = false`: \
                 it then keeps no signature to one table, and none is given"
            }
            Self::Google(_) => "check that the bucket has uniform bucket-level access: access boundaries need it",
        }
    }

    /// Returns the advice for a store that overwrites an object in spite of `If-None-Match`.
    #[must_use]
    pub const fn when_overwritten(&self) -> &'static str {
        match self {
            Self::S3(_) => {
                "it does not keep `If-None-Match: *`. Set `conditional-writes = false` if you want to use it all the same; \
                 metadata files have random names"
            }
            Self::None | Self::Azure(_) | Self::Google(_) => {
                "it does not keep to the conditions that requests have, as emulators do not, and is not fit for metadata"
            }
        }
    }
}
