//! What the `cuda` backend needs at build time, checked before minutes of compiling end in a linker error.
//!
//! Burn's CUDA backend compiles kernels through LLVM. The build script of `tracel-llvm-bundler` looks for a folder that
//! carries its own version number, and downloads a prebuilt LLVM into it when the folder is not there. No environment
//! variable names another LLVM, so on a machine without a network the folder itself has to be made:
//! `xtask/llvm22-prefix.sh` makes it out of Debian's LLVM 22.

use std::env;
use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cargo;

/// Where the build script downloads from.
const DOWNLOAD_HOST: &str = "github.com";

/// What was found out about this machine.
struct Findings {
    /// The folder that the build script looks for.
    prefix: PathBuf,
    /// The file that the build script takes as a sign of a complete folder.
    is_installed: bool,
    can_download: bool,
    has_debian_llvm: bool,
    has_cpp_compiler: bool,
    /// Libraries that an installed LLVM links and the linker does not find, or why that cannot be told.
    unlinkable: Result<Vec<String>, String>,
}

/// Checks that LLVM for the `cuda` backend is there or can be downloaded.
///
/// # Errors
/// A list of what is missing and how to get it.
pub(crate) fn check() -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(()); // the folder is elsewhere there; the build script tells
    }
    let version = bundle_version(&fs::read_to_string(cargo::root().join("Cargo.lock"))?)?;
    let findings = look_around(&version)?;
    let missing = missing(&findings);
    if !missing.is_empty() {
        bail!("razor cannot be built for cuda yet\n\n{}", missing.join("\n"));
    }
    if !findings.is_installed {
        eprintln!("xtask: the build downloads LLVM {version} into {}", findings.prefix.display());
    }
    Ok(())
}

/// The version of `tracel-llvm-bundler` in a `Cargo.lock`; the folder carries it in its name.
fn bundle_version(lock: &str) -> anyhow::Result<String> {
    let package =
        lock.split("[[package]]").find(|package| package.contains("name = \"tracel-llvm-bundler\""));
    let version = package.and_then(|package| package.split("version = \"").nth(1)?.split('"').next());
    version.map(str::to_owned).context("Cargo.lock: package `tracel-llvm-bundler` is missing")
}

fn look_around(version: &str) -> anyhow::Result<Findings> {
    let home = env::home_dir().context("there is no home directory, where LLVM is looked for")?;
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let prefix =
        data.unwrap_or_else(|| home.join(".local/share")).join(format!("tracel/tracel-llvm-{version}"));
    let is_installed = prefix.join(".tracel-llvm-installed").exists();
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    Ok(Findings {
        unlinkable: if is_installed { unlinkable_libraries(&prefix) } else { Ok(Vec::new()) },
        can_download: !is_installed && (has_archive(&home, version) || can_reach_download()),
        has_debian_llvm: Path::new("/usr/lib/llvm-22/bin/llvm-config").exists(),
        has_cpp_compiler: Command::new(compiler)
            .arg("--version")
            .output()
            .is_ok_and(|run| run.status.success()),
        prefix,
        is_installed,
    })
}

/// Whether an archive was carried here by hand, which the build script then unpacks without a network.
fn has_archive(home: &Path, version: &str) -> bool {
    let machine = if cfg!(target_arch = "aarch64") { "AArch64" } else { "x64" };
    let archive = home.join(format!(".cache/tracel/tracel-llvm-{version}-linux-{machine}.tar.xz"));
    archive.exists() && env::var_os("TRACEL_LLVM_BUNDLER_SKIP_CHECKSUM_DOWNLOAD").is_some()
}

fn can_reach_download() -> bool {
    // Behind a proxy a direct connection says nothing: the build script finds out.
    if ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().any(|name| env::var_os(name).is_some())
    {
        return true;
    }
    let Ok(mut addresses) = (DOWNLOAD_HOST, 443).to_socket_addrs() else {
        return false;
    };
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok())
}

/// System libraries that LLVM asks for and the C compiler does not find.
fn unlinkable_libraries(prefix: &Path) -> Result<Vec<String>, String> {
    let mut config = Command::new(prefix.join("bin/llvm-config"));
    config.args(["--link-static", "--system-libs"]);
    let output =
        config.output().map_err(|error| format!("cannot start `{}`: {error}", cargo::shown(&config)))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("`{}` failed: {reason}", cargo::shown(&config)));
    }
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-l"));
    Ok(names.filter(|name| !linker_finds(name)).map(str::to_owned).collect())
}

/// Whether the C compiler has a path for the library; it answers with the bare file name when it has none.
fn linker_finds(library: &str) -> bool {
    ["so", "a"].iter().any(|extension| {
        let question = format!("-print-file-name=lib{library}.{extension}");
        let answer = Command::new("cc").arg(question).output();
        answer.is_ok_and(|answer| answer.stdout.contains(&b'/'))
    })
}

/// One entry per thing that is missing, with the way to get it.
fn missing(findings: &Findings) -> Vec<String> {
    let mut missing = Vec::new();
    let prefix = findings.prefix.display();
    if !findings.is_installed && !findings.can_download {
        let by_hand = if findings.has_debian_llvm {
            "Debian's LLVM 22 is here: run `xtask/llvm22-prefix.sh` and try again"
        } else {
            "on Debian: `apt-get update && apt-get install llvm-22-dev libzstd-dev`, then `xtask/llvm22-prefix.sh`"
        };
        missing.push(format!(
            "- LLVM: {prefix} is not there, and {DOWNLOAD_HOST} cannot be reached\n  \
             with a network: run this again, the build downloads LLVM by itself\n  {by_hand}"
        ));
    }
    match &findings.unlinkable {
        Ok(libraries) => missing.extend(libraries.iter().map(|library| {
            format!(
                "- lib{library}: LLVM in {prefix} links it and the C compiler does not find it\n  \
                 on Debian: `apt-get install {}`",
                debian_package(library)
            )
        })),
        Err(reason) => missing.push(format!(
            "- a working LLVM in {prefix}: {reason}\n  \
             reinstall llvm-22-dev and run `xtask/llvm22-prefix.sh`, or delete the folder to have LLVM downloaded"
        )),
    }
    if !findings.has_cpp_compiler {
        missing
            .push("- a C++ compiler: $CXX or `c++` does not run\n  on Debian: `apt-get install g++`".into());
    }
    missing
}

fn debian_package(library: &str) -> String {
    match library {
        "z" => "zlib1g-dev".into(),
        "tinfo" => "libtinfo-dev".into(),
        _ => format!("lib{library}-dev"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Findings {
        Findings {
            prefix: "share/tracel/tracel-llvm-1".into(),
            is_installed: true,
            can_download: false,
            has_debian_llvm: false,
            has_cpp_compiler: true,
            unlinkable: Ok(Vec::new()),
        }
    }

    #[test]
    fn a_complete_machine_lacks_nothing() {
        assert_eq!(missing(&complete()), Vec::<String>::new());
        assert!(missing(&Findings { is_installed: false, can_download: true, ..complete() }).is_empty());
    }

    #[test]
    fn without_llvm_and_network_the_packages_and_the_script_are_named() {
        let text = missing(&Findings { is_installed: false, ..complete() }).join("\n");
        for needed in ["llvm-22-dev", "libzstd-dev", "xtask/llvm22-prefix.sh", "with a network"] {
            assert!(text.contains(needed), "`{needed}` is not in:\n{text}");
        }
        assert!(cargo::root().join("xtask/llvm22-prefix.sh").is_file());
    }

    #[test]
    fn with_debians_llvm_only_the_script_is_asked_for() {
        let text = missing(&Findings { is_installed: false, has_debian_llvm: true, ..complete() }).join("\n");
        assert!(text.contains("xtask/llvm22-prefix.sh") && !text.contains("apt-get"), "{text}");
    }

    #[test]
    fn a_library_that_cannot_be_linked_is_named_with_its_package() {
        let text =
            missing(&Findings { unlinkable: Ok(vec!["zstd".into(), "z".into()]), ..complete() }).join("\n");
        assert!(text.contains("libzstd-dev") && text.contains("zlib1g-dev"), "{text}");
    }

    #[test]
    fn the_version_of_the_folder_comes_from_the_lock_file() {
        let lock = fs::read_to_string(cargo::root().join("Cargo.lock")).unwrap();
        let version = bundle_version(&lock).expect("the workspace locks the bundler");
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
        assert!(bundle_version("[[package]]\nname = \"burn\"\nversion = \"0.22.1\"\n").is_err());
    }
}
