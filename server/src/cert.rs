//! `sidegate cert`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::cli::CertArgs;
use crate::output::{Output, complain};

/// Years that the CA is good for.
const CA_YEARS: i64 = 10;

/// Who may read a file.
#[derive(Clone, Copy)]
enum Readers {
    Owner = 0o600,
    All = 0o644,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
enum CertError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{path} is there and {missing} is not; expected both of the CA, or neither")]
    HalfCa { path: PathBuf, missing: PathBuf },
    #[error("{path}: expected a CA in PEM: {error}")]
    NoCa { path: PathBuf, error: rcgen::Error },
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

pub(crate) fn cert(args: &CertArgs, output: &mut Output) -> ExitCode {
    match make(args) {
        Ok(files) => {
            files.iter().for_each(|file| output.print(&file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Makes what is asked for; gives the files that were written.
fn make(args: &CertArgs) -> Result<Vec<PathBuf>, CertError> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).map_err(|error| CertError::File { path: folder.clone(), error })?;
    let mut written = Vec::new();
    let ca = ca(folder, &mut written)?;
    let names: Vec<String> = args.names.iter().filter(|name| !name.is_empty()).cloned().collect();
    let server = leaf(names, "server", ExtendedKeyUsagePurpose::ServerAuth, args.days)?;
    issue(server, "server", &ca, folder, &mut written)?;
    let client = leaf(vec![args.client.clone()], &args.client, ExtendedKeyUsagePurpose::ClientAuth, args.days)?;
    issue(client, "client", &ca, folder, &mut written)?;
    Ok(written)
}

/// The CA of the folder, which is made if there is none.
fn ca(folder: &Path, written: &mut Vec<PathBuf>) -> Result<Issuer<'static, KeyPair>, CertError> {
    let (pem, key) = (folder.join("ca.pem"), folder.join("ca.key"));
    match (pem.exists(), key.exists()) {
        (true, true) => {
            let read = |path: &PathBuf| {
                std::fs::read_to_string(path).map_err(|error| CertError::File { path: path.clone(), error })
            };
            let pair = KeyPair::from_pem(&read(&key)?).map_err(|error| CertError::NoCa { path: key, error })?;
            Issuer::from_ca_cert_pem(&read(&pem)?, pair).map_err(|error| CertError::NoCa { path: pem, error })
        }
        (true, false) => Err(CertError::HalfCa { path: pem, missing: key }),
        (false, true) => Err(CertError::HalfCa { path: key, missing: pem }),
        (false, false) => {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = Default::default();
            params.distinguished_name.push(DnType::CommonName, "sidegate local CA");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            valid(&mut params, CA_YEARS * 365);
            let pair = KeyPair::generate()?;
            let certificate = params.self_signed(&pair)?;
            write(&key, &pair.serialize_pem(), Readers::Owner, written)?;
            write(&pem, &certificate.pem(), Readers::All, written)?;
            Ok(Issuer::new(params, pair))
        }
    }
}

fn leaf(
    names: Vec<String>,
    subject: &str,
    purpose: ExtendedKeyUsagePurpose,
    days: u32,
) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, i64::from(days));
    Ok(params)
}

/// From an hour ago, for clocks that are late.
fn valid(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(days);
}

fn issue(
    params: CertificateParams,
    name: &str,
    ca: &Issuer<'static, KeyPair>,
    folder: &Path,
    written: &mut Vec<PathBuf>,
) -> Result<(), CertError> {
    let pair = KeyPair::generate()?;
    let certificate = params.signed_by(&pair, ca)?;
    write(&folder.join(format!("{name}.key")), &pair.serialize_pem(), Readers::Owner, written)?;
    write(&folder.join(format!("{name}.pem")), &certificate.pem(), Readers::All, written)
}

/// Whole or not at all, and never readable by more for a while.
fn write(path: &Path, text: &str, readers: Readers, written: &mut Vec<PathBuf>) -> Result<(), CertError> {
    let fresh = path.with_extension("new");
    let put = || {
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(readers as u32).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    put().map_err(|error| CertError::File { path: path.to_path_buf(), error })?;
    written.push(path.to_path_buf());
    Ok(())
}
