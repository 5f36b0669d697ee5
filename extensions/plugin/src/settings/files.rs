//! Where a plugin's files lie, and what they hold.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use sha2::{Digest, Sha256};
use sidegate_api::BuildEnv;
use sidegate_files::read_regular;
use sidegate_settings::Setting;

/// Bytes of a program's file.
const MAX_FILE: u64 = 512 << 20;

/// Where the configuration's file lies.
pub(super) fn configuration_folder(env: &BuildEnv) -> Option<PathBuf> {
    env.search_dirs.first().map(|folder| absolute(folder.clone()))
}

pub(super) fn working_directory(setting: &Setting<'_>, env: &BuildEnv) -> Option<PathBuf> {
    let named = Path::new(setting.text()?);
    let directory = configuration_folder(env).unwrap_or_default().join(named);
    if !directory.is_dir() {
        setting.error(format!("{} is no folder", directory.display()));
        return None;
    }
    Some(absolute(directory))
}

pub(super) fn absolute(path: PathBuf) -> PathBuf {
    let of = if path.as_os_str().is_empty() { Path::new(".") } else { &*path };
    // Fails where there is no working directory any more.
    std::path::absolute(of).unwrap_or(path)
}

/// The program's file: beside the configuration, below the working directory,
/// or in `PATH`.
pub(super) fn look_up(command: &str, env: &BuildEnv) -> PathBuf {
    let here = env.resolve(Path::new(command));
    if command.contains('/') || here.is_file() {
        return here;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut there = std::env::split_paths(&path).map(|folder| folder.join(command));
    there.find(|file| file.is_file() && access(file.as_path(), Access::EXEC_OK).is_ok()).unwrap_or(here)
}

/// What the files of a plugin hold, so that a change of them makes another
/// plugin; an error says why the program cannot be started.
pub(super) fn digest(
    program: &Path,
    args: &[String],
    directory: Option<&Path>,
    env: &BuildEnv,
) -> Result<[u8; 32], String> {
    let of_program = file_digest(program, env).map_err(|why| format!("{}: {why}", program.display()))?;
    access(program, Access::EXEC_OK).map_err(|error| format!("{} cannot be executed: {error}", program.display()))?;
    let mut all = Sha256::new().chain_update(of_program);
    for (at, argument) in args.iter().enumerate() {
        let file = directory.unwrap_or(Path::new("")).join(argument);
        if file.is_file()
            && let Ok(of_file) = file_digest(&file, env)
        {
            all.update(at.to_le_bytes());
            all.update(of_file);
        }
    }
    Ok(all.finalize().into())
}

fn file_digest(file: &Path, env: &BuildEnv) -> Result<[u8; 32], String> {
    let read = env.reads.once(file.to_path_buf(), || {
        env.reads.watch(file);
        match read_regular(file, MAX_FILE) {
            Ok(bytes) => Ok(<[u8; 32]>::from(Sha256::digest(&bytes))),
            Err(error) => Err(error.to_string()),
        }
    });
    Result::clone(&read)
}
