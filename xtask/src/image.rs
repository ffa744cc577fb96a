//! `cargo xtask image`: the container image, by the recipe in `image/`.
//!
//! The image is packed twice, and both have to be the same: what was packed when must not show.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::answer;
use crate::components::{Components, remove};
use crate::groups::end_on_signal;
use crate::test_run::phase;

const RECIPE: &str = "image/Containerfile";

#[derive(clap::Args)]
pub(crate) struct Image {
    /// Its name and tag
    #[arg(long, default_value = concat!("icecore:", env!("CARGO_PKG_VERSION")))]
    name: String,
    /// The archive to write, as `docker load` reads it
    #[arg(long, default_value = "target/image/icecore.tar")]
    output: PathBuf,
}

/// An image in an archive.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) archive: PathBuf,
    /// The digest of its configuration, which names those of its layers.
    pub(crate) id: String,
    pub(crate) bytes: u64,
}

pub(crate) fn run(image: &Image) -> Result<()> {
    end_on_signal()?;
    Components::install_for_image()?;
    compile()?;
    let Packed { archive, id, bytes } =
        pack(&image.name, env!("CARGO_PKG_VERSION"), &image.output)?;
    println!("xtask: {} {id}", image.name);
    println!("xtask: {} ({bytes} bytes)", archive.display());
    Ok(())
}

/// Lays the image's files, the program among them.
pub(crate) fn compile() -> Result<()> {
    let root = crate::root()?;
    let mut rootfs = Command::new(root.join("image/rootfs"));
    rootfs.arg(root.join("target/image/context/rootfs")).current_dir(root);
    phase("compiling the program of the image", &mut rootfs)
}

/// Packs the files that were laid.
pub(crate) fn pack(name: &str, version: &str, archive: &Path) -> Result<Packed> {
    let root = crate::root()?;
    let archive = root.join(archive);
    let first = build(root, name, version)?;
    let second = build(root, name, version)?;
    ensure!(first == second, "packed twice, {name} is {first} and {second}");
    remove(&archive)?;
    let folder = archive.parent().context("the archive lies in a folder")?;
    std::fs::create_dir_all(folder)?;
    let to = format!("docker-archive:{}:{name}", archive.display());
    answer(buildah(root).args(["push", "--quiet", name, to.as_str()]))?;
    let bytes = std::fs::metadata(&archive)?.len();
    Ok(Packed { archive, id: first, bytes })
}

fn build(root: &Path, name: &str, version: &str) -> Result<String> {
    let mut build = buildah(root);
    build.args(["build", "--quiet", "--no-cache", "--target", "laid", "--timestamp", "0"]);
    build.args(["--build-arg", &format!("VERSION={version}"), "--tag", name]);
    build.arg("--file").arg(root.join(RECIPE)).arg(root.join("target/image/context"));
    answer(&mut build)
}

/// With storage of its own: nothing else of this machine's images is touched.
fn buildah(root: &Path) -> Command {
    let storage = root.join("target/image/storage");
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs", "--root"]).arg(storage.join("root"));
    command.arg("--runroot").arg(storage.join("run"));
    command.env("BUILDAH_ISOLATION", "chroot");
    command
}
