//! A configuration on its way to a process that runs, to be compared with what
//! it has: the texts of all files, so that what is wrong has the place in them
//! that its author knows.
//!
//! ```text
//! {
//!   "name": "conf/c.yaml",              the file as it was called, for messages
//!   "folder": "/home/me/conf",          where relative paths begin
//!   "files": {                          all that were read, by the names that messages have for them
//!     "conf/c.yaml": "servers: …",
//!     "conf/clusters/a.yaml": "name: …"
//!   }
//! }
//! ```
//!
//! Files hold secrets: who sends this chooses the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::diagnostic::ConfigErrors;
use crate::file::ConfigFile;
use crate::source::{Recorder, Sent};

/// A configuration file with all texts, to be sent.
pub struct Wire {
    name: String,
    folder: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// What came is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not in the form that [`Wire`] has.
    #[error("expected {expected}, found {found}")]
    Form {
        /// What may stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// The texts are no documents.
    #[error("{0}")]
    Config(ConfigErrors),
}

impl Wire {
    /// Reads a file as [`ConfigFile::read`] does, and keeps the texts.
    pub fn read(path: &Path, working_dir: &Path) -> Result<(ConfigFile, Wire), ConfigErrors> {
        let recorder = Recorder::default();
        let file = ConfigFile::read_from(path, &recorder)?;
        let folder = working_dir.join(file.path().parent().unwrap_or(Path::new("")));
        let wire = Wire { name: file.path().display().to_string(), folder, files: recorder.into_files() };
        Ok((file, wire))
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |bytes: &Vec<u8>| Value::from(String::from_utf8_lossy(bytes));
        let files: Map<String, Value> =
            self.files.iter().map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect();
        serde_json::json!({"name": self.name, "folder": self.folder.display().to_string(), "files": files})
            .to_string()
            .into_bytes()
    }
}

/// Without texts, which may hold secrets.
impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// What [`Wire::to_bytes`] made. Nothing of it is read from files here; it
    /// is to be resolved with [`LoadMode::NoLoad`](crate::LoadMode::NoLoad),
    /// for who sent it may not be who may run code here.
    pub fn from_wire(bytes: &[u8]) -> Result<ConfigFile, WireError> {
        let form = |expected, found: &dyn std::fmt::Display| WireError::Form { expected, found: found.to_string() };
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| form("a JSON object with `name`, `folder` and `files`", &error))?;
        let text = |key: &'static str, expected| {
            let found = value.get(key).and_then(Value::as_str);
            found.ok_or_else(|| form(expected, &"none"))
        };
        let name = text("name", "the file's name as `name`")?;
        let folder = Path::new(text("folder", "an absolute path as `folder`")?);
        if !folder.is_absolute() {
            return Err(form("an absolute path as `folder`", &folder.display()));
        }
        let entries = value.get("files").and_then(Value::as_object);
        let entries = entries.ok_or_else(|| form("an object of texts as `files`", &"none"))?;
        let mut files = BTreeMap::new();
        for (path, content) in entries {
            let content = content.as_str().ok_or_else(|| form("texts in `files`", &"something else"))?;
            files.insert(PathBuf::from(path), content.to_owned());
        }
        if !files.contains_key(Path::new(name)) {
            return Err(form("the file that `name` names in `files`", &format_args!("no {name:?}")));
        }
        let file = ConfigFile::sent(Path::new(name), folder, &Sent(files)).map_err(WireError::Config)?;
        Ok(file)
    }
}
