//! `sidegate keygen` and `sidegate sign`.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use sidegate_files::{ReadError, read_regular};
use sidegate_trust::{EXTENSION, Password, SecretError, SecretKey};

use crate::cli::{KeygenArgs, PasswordArgs, SignArgs};
use crate::output::{Output, complain};

/// No key and no password is longer, in bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// Nobody loads more, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Why there is no key or signature.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error("{path}: {error}")]
    Read { path: PathBuf, error: ReadError },
    #[error("{path}: {error}")]
    Write { path: PathBuf, error: io::Error },
    #[error("{}: it is there already, and no key is written over: choose another name, or take it away", .0.display())]
    Exists(PathBuf),
    #[error("{path}: expected text, found other bytes")]
    NotText { path: PathBuf },
    #[error("{path}: {error}")]
    Key { path: PathBuf, error: SecretError },
    #[error("expected a terminal to ask for a password at, or --password-file or --no-password")]
    NobodyToAsk,
}

pub(crate) fn keygen(args: &KeygenArgs, output: &mut Output) -> ExitCode {
    tell(make_keys(args), output)
}

pub(crate) fn sign(args: &SignArgs, output: &mut Output) -> ExitCode {
    tell(sign_all(args), output)
}

fn tell(result: Result<Vec<String>, SignError>, output: &mut Output) -> ExitCode {
    match result {
        Ok(lines) => {
            lines.iter().for_each(|line| output.print(line));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn make_keys(args: &KeygenArgs) -> Result<Vec<String>, SignError> {
    let (secret_file, public_file) = (beside(&args.name, "key"), beside(&args.name, "pub"));
    // Before anybody thinks of a password.
    for path in [&secret_file, &public_file] {
        // Links that lead nowhere as well.
        if path.symlink_metadata().is_ok() {
            return Err(SignError::Exists(path.clone()));
        }
    }
    let password = password(&args.password)?;
    let key = |error| SignError::Key { path: secret_file.clone(), error };
    let (secret, public) = SecretKey::generate(password).map_err(key)?;
    write_new(&secret_file, 0o600, secret.as_bytes())?;
    write_new(&public_file, 0o644, public.to_file().as_bytes())?;
    Ok(vec![secret_file.display().to_string(), public_file.display().to_string(), public.to_string()])
}

fn sign_all(args: &SignArgs) -> Result<Vec<String>, SignError> {
    let text = read_text(&args.key)?;
    let of_key = |error| SignError::Key { path: args.key.clone(), error };
    let key = match SecretKey::parse(&text, Password::None) {
        Err(SecretError::NeedsPassword) => SecretKey::parse(&text, password(&args.password)?),
        parsed => parsed,
    };
    let key = key.map_err(of_key)?;
    let mut written = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let bytes = read(file, MAX_FILE_BYTES)?;
        let comment = args.comment.clone().unwrap_or_else(|| comment(file));
        let signature = key.sign(&bytes, &comment).map_err(of_key)?;
        let path = beside(file, EXTENSION);
        write_whole(&path, signature.as_bytes())?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

/// As minisign has it.
fn comment(file: &Path) -> String {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|time| time.parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("timestamp:{}\tfile:{name}\thashed", epoch.unwrap_or_else(now))
}

fn password(args: &PasswordArgs) -> Result<Password, SignError> {
    match &args.password_file {
        Some(path) => Ok(Password::Given(read_text(path)?.lines().next().unwrap_or_default().to_owned())),
        None if args.no_password => Ok(Password::None),
        None if io::stdin().is_terminal() => Ok(Password::Ask),
        None => Err(SignError::NobodyToAsk),
    }
}

/// `path` with one more ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SignError> {
    read_regular(path, limit).map_err(|error| SignError::Read { path: path.to_owned(), error })
}

fn read_text(path: &Path) -> Result<String, SignError> {
    let bytes = read(path, MAX_KEY_BYTES)?;
    String::from_utf8(bytes).map_err(|_| SignError::NotText { path: path.to_owned() })
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), SignError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SignError::Exists(path.to_owned()),
        _ => SignError::Write { path: path.to_owned(), error },
    })
}

/// In place of what is there, at once: a proxy may be looking.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), SignError> {
    let next = beside(path, "new");
    let written = std::fs::write(&next, bytes).and_then(|()| std::fs::rename(&next, path));
    written.map_err(|error| SignError::Write { path: path.to_owned(), error })
}
