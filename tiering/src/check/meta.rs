//! What lies beside the segments: a damaged snapshot is no use to a restore.

use super::{Check, CheckError, FindingKind};
use crate::marker;
use crate::meta::{META_BYTES_MAX, is_numbered, judge};
use crate::scan::Scope;
use crate::store::StoreError;

impl Check<'_> {
    /// Every object below `meta/` reads right.
    pub(super) async fn meta(&self) -> Result<(), CheckError> {
        if self.options.scope != Scope::All {
            return Ok(());
        }
        let layout = &self.tiering.layout;
        let mut names = Vec::new();
        self.tiering
            .store
            .list(&layout.meta_folder(), |object| names.push(object.location))
            .await?;
        names.retain(|name| *name != marker::name(layout));
        for name in names {
            if !is_numbered(&name) {
                let detail = "none of icecore's, or a probe of a start that died";
                self.find(FindingKind::ForeignName, name.as_ref(), detail);
                continue;
            }
            let wrong = match self.tiering.store.get_whole(&name, META_BYTES_MAX).await {
                Ok(bytes) => judge(&name, &bytes).map(|wrong| wrong.to_string()),
                // A newer one took its place since it was listed.
                Err(StoreError::NotFound { .. }) => None,
                Err(error @ StoreError::WrongBytes { .. }) => Some(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            if let Some(wrong) = wrong {
                self.find(FindingKind::DamagedMeta, name.as_ref(), wrong);
            }
        }
        Ok(())
    }
}
