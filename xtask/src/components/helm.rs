//! helm, and what judges the resources that it renders: the schemas that Kubernetes publishes, and a parser
//! of Prometheus' queries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Components, golang, virtual_environment};

const PACKAGE: &str = "helm.sh/helm/v3/cmd/helm@v3.19.0";
/// Schemas of every Kubernetes up to the package's own number, and a parser of Prometheus' queries.
const JUDGES: &[&str] = &["kubernetes-validate==1.37.0", "promql-parser==0.11.0"];

pub(super) fn install(components: &Components) -> Result<()> {
    golang::install(components, "helm", PACKAGE)
}

pub(super) fn install_judges(components: &Components) -> Result<()> {
    virtual_environment(components, "chart-judges", JUDGES)
}

/// The installed program, with folders of its own: what the user's helm has set counts for nothing.
#[derive(Clone, Debug)]
pub(crate) struct Helm {
    folder: PathBuf,
}

impl Helm {
    pub(crate) fn of(components: &Components) -> Self {
        Self { folder: components.folder().to_owned() }
    }

    /// A command of it, to be given its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.folder.join("helm/bin/helm"));
        for (variable, name) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.folder.join("helm").join(name));
        }
        command
    }

    /// A command that holds a file of resources against what a Kubernetes knows.
    pub(crate) fn validator(&self, kubernetes: &str, file: &Path) -> Command {
        let mut command = Command::new(self.folder.join("chart-judges/bin/kubernetes-validate"));
        command.args(["--kubernetes-version", kubernetes, "--strict"]).arg(file);
        command
    }

    /// A command that parses the queries in a file of resources.
    pub(crate) fn query_parser(&self, file: &Path) -> Command {
        let mut command = Command::new(self.folder.join("chart-judges/bin/python"));
        command.args(["-c", include_str!("../chart/queries.py")]).arg(file);
        command
    }
}
