//! Whose modules are loaded: signatures, keys, and what is revoked.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Outcome, Proxy, ProxyOptions, TempDir, sidegate};

use super::Module;

/// A folder with a module, two pairs of keys, and a configuration.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        let module = Module::compile_file("tests/e2e/modules/refuse.c");
        let dir = TempDir::new();
        fs::create_dir(dir.join("modules")).unwrap();
        fs::copy(&module.file, dir.join("modules/guard.so")).unwrap();
        let folder = Folder { dir };
        for key in ["first", "second"] {
            let made = sidegate(["keygen", &folder.path(key), "--no-password"]);
            assert_eq!(made.code, Some(0), "{}", made.output());
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn module(&self) -> PathBuf {
        self.dir.join("modules/guard.so")
    }

    /// Signs the module as it is.
    fn sign(&self, key: &str) {
        let signed = sidegate(["sign", "--key", &self.path(&format!("{key}.key")), self.module().to_str().unwrap()]);
        assert_eq!(signed.code, Some(0), "{}", signed.output());
    }

    /// The number of a key, as its public half names it.
    fn number(&self, key: &str) -> String {
        let text = fs::read_to_string(self.dir.join(format!("{key}.pub"))).unwrap();
        text.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    fn config(&self, to: ConfigBuilder, modules: Value) -> ConfigBuilder {
        let mut all = json!({"directories": ["modules"]});
        all.as_object_mut().unwrap().extend(modules.as_object().unwrap().clone());
        to.filter(json!({"type": "loadso", "so_config": {"module": "guard", "filter": "refuse"}})).top("modules", all)
    }

    /// What `check` says of the module under such a policy.
    fn check(&self, modules: Value) -> Outcome {
        let config = self.config(ConfigBuilder::to("127.0.0.1:9".parse().unwrap()), modules);
        let file = self.dir.write("config.json", config.build(self.dir.path()).to_string());
        sidegate(["check", "-c", file.to_str().unwrap(), "--format", "json"])
    }

    #[track_caller]
    fn accepts(&self, modules: Value) {
        let outcome = self.check(modules);
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    }

    #[track_caller]
    fn refuses(&self, modules: Value, kind: &str, message: &str) {
        let outcome = self.check(modules);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let error = &report["errors"][0];
        assert_eq!((outcome.code, error["kind"].as_str()), (Some(1), Some(kind)), "{report:#}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error:#}");
    }
}

fn signed_by(keys: &[&str]) -> Value {
    json!({"require_signature": true, "trusted_keys": keys})
}

#[test]
fn a_signature_must_be_there_and_be_of_these_bytes_by_a_trusted_key() {
    let folder = Folder::new();
    folder.refuses(signed_by(&["first.pub"]), "signature_missing", "guard.so.minisig, found no such file");
    folder.sign("second");
    let number = folder.number("second");
    folder.refuses(signed_by(&["first.pub"]), "signer_untrusted", &format!("found one by {number}"));
    // Two of them, for a change from one to the other.
    folder.accepts(signed_by(&["first.pub", "second.pub"]));
    folder.sign("first");
    folder.accepts(signed_by(&["first.pub", "second.pub"]));
    let signature = folder.dir.join("modules/guard.so.minisig");
    let good = fs::read_to_string(&signature).unwrap();
    // One byte of the module.
    let bytes = fs::read(folder.module()).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(folder.module(), &changed).unwrap();
    folder.refuses(signed_by(&["first.pub"]), "signature_invalid", "not made for these bytes");
    // The signature of another file.
    folder.sign("first");
    let other = fs::read_to_string(&signature).unwrap();
    fs::write(folder.module(), &bytes).unwrap();
    folder.refuses(signed_by(&["first.pub"]), "signature_invalid", "not made for these bytes");
    assert_ne!(other, good);
    for (broken, said) in [
        ("", "expected a signature of minisign"),
        ("no signature", "expected a signature of minisign"),
        (&good[..good.len() / 2], "expected a signature of minisign"),
        (&"x".repeat(10_000), "at most 8192 bytes"),
        (&good.replace("file:guard.so", "file:other.so"), "not made for these bytes"),
    ] {
        fs::write(&signature, broken).unwrap();
        folder.refuses(signed_by(&["first.pub"]), "signature_invalid", said);
        folder.refuses(signed_by(&["first.pub"]), "signature_invalid", "guard.so.minisig does not do: ");
    }
    fs::write(&signature, good).unwrap();
    folder.accepts(signed_by(&["first.pub"]));
}

#[test]
fn a_signature_that_is_there_is_checked_where_none_is_required() {
    let folder = Folder::new();
    let trusted = || json!({"trusted_keys": ["first.pub"]});
    folder.accepts(trusted());
    folder.sign("second");
    folder.refuses(trusted(), "signer_untrusted", "expected a signature in");
    // Without keys nobody looks.
    folder.accepts(json!({}));
}

#[test]
fn revoked_keys_and_files_are_refused_by_name() {
    let folder = Folder::new();
    folder.sign("first");
    let number = folder.number("first");
    let said = format!("signed by the key {number}, which is revoked");
    for revoked in [number.as_str(), "first.pub"] {
        let mut modules = signed_by(&["first.pub", "second.pub"]);
        modules["revoked_keys"] = json!([revoked]);
        folder.refuses(modules, "signer_revoked", &said);
    }
    let inspected = sidegate(["inspect", folder.module().to_str().unwrap(), "--format", "json"]);
    let digest = serde_json::from_str::<Value>(&inspected.stdout).unwrap()["sha256"].as_str().unwrap().to_owned();
    let mut modules = signed_by(&["first.pub"]);
    modules["revoked_sha256"] = json!([digest]);
    folder.refuses(modules, "revoked_file", &format!("its sha256 {digest} is revoked"));
}

#[test]
fn sizes_and_places_are_bounded() {
    let folder = Folder::new();
    folder.refuses(json!({"max_size": 100}), "too_large", "expected at most 100 bytes");
    let only = || json!({"only_directories": true});
    folder.accepts(only());
    // A link out of the folder.
    let outside = folder.dir.join("guard.so");
    fs::rename(folder.module(), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, folder.module()).unwrap();
    folder.refuses(only(), "outside_directories", "expected a file in ");
    folder.accepts(json!({}));
}

#[test]
fn mistakes_in_a_policy_are_named_and_no_code_runs() {
    let folder = Folder::new();
    for (modules, at, said) in [
        (json!({"require_signature": true}), "modules.require_signature", "nobody's signature would do"),
        (signed_by(&["nowhere.pub"]), "modules.trusted_keys[0]", "No such file"),
        (signed_by(&["first.key"]), "modules.trusted_keys[0]", "found a secret key"),
        (signed_by(&["RWQf6LRCGA9i53mlYecO4IzT51TGPpvW"]), "modules.trusted_keys[0]", "56 characters of base64"),
        (json!({"revoked_keys": ["12"]}), "modules.revoked_keys[0]", "expected a public key of minisign"),
        (json!({"revoked_sha256": ["12"]}), "modules.revoked_sha256[0]", "64 hexadecimal digits"),
    ] {
        let outcome = folder.check(modules);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let errors = report["errors"].as_array().unwrap();
        let found = errors.iter().find(|error| error["path"] == at);
        let message = found.map(|error| error["message"].as_str().unwrap()).unwrap_or_default();
        assert!(outcome.code == Some(1) && message.contains(said), "{report:#}");
        // Whether the module would do is not known then.
        assert_eq!(errors.len(), 1, "{report:#}");
    }
}

#[test]
fn a_process_comes_to_trust_less_and_not_more() {
    let folder = Folder::new();
    folder.sign("first");
    let origin = Origin::echo();
    let to = || ConfigBuilder::to(origin.address());
    let third = sidegate(["keygen", &folder.path("third"), "--no-password"]);
    assert_eq!(third.code, Some(0), "{}", third.output());
    let [first, second, third] = ["first", "second", "third"].map(|name| folder.number(name));
    let both = json!({"require_signature": true, "trusted_keys": ["first.pub", "second.pub"]});
    let config = folder.config(to(), both);
    let file = folder.dir.write("config.json", config.build(folder.dir.path()).to_string());
    let Folder { dir } = folder;
    let mut proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    let folder = Folder { dir: TempDir::new() };
    let number = proxy.number();
    for (modules, key, how) in [
        (
            json!({"require_signature": false, "trusted_keys": ["first.pub", "second.pub"]}),
            "require_signature",
            "expected true, found false".to_owned(),
        ),
        (json!({}), "trusted_keys", format!("expected one of {first}, {second} still, found none")),
        (
            signed_by(&["first.pub", "second.pub", "third.pub"]),
            "trusted_keys",
            format!("expected none but {first}, {second}, found also {third}"),
        ),
        (
            json!({"require_signature": true, "trusted_keys": ["first.pub", "second.pub"], "allow": ["run_path"]}),
            "allow",
            "expected none, found also run_path".to_owned(),
        ),
        (
            json!({"require_signature": true, "trusted_keys": ["first.pub", "second.pub"], "allow_needed": ["libz.so.1"]}),
            "allow_needed",
            "expected none, found also libz.so.1".to_owned(),
        ),
        (
            json!({"require_signature": true, "trusted_keys": ["first.pub", "second.pub"], "max_size": 1_000_000_000}),
            "max_size",
            format!("expected at most {}, found 1000000000", 256 << 20),
        ),
    ] {
        proxy.write(&folder.config(to(), modules));
        let answer = proxy.order("/api/v1/config/reload");
        let text = answer.text();
        assert!(
            answer.status() == 422 && text.contains(&format!("`modules.{key}`: {how}")),
            "{} {text}",
            answer.status()
        );
        assert_eq!(proxy.number(), number);
    }
    assert_eq!(proxy.get("/x").status(), 200);
    // The key that has not signed goes.
    proxy.reload(&folder.config(to(), signed_by(&["first.pub"])));
    assert_eq!(proxy.get("/x").status(), 200);
    // The one that has is revoked: the module is one of nobody's, and the
    // configuration that needs it is not taken.
    let mut revoked = signed_by(&["first.pub"]);
    revoked["revoked_keys"] = json!(["first.pub"]);
    proxy.write(&folder.config(to(), revoked));
    let answer = proxy.order("/api/v1/config/reload");
    assert!(answer.text().contains("signer_revoked"), "{}", answer.text());
    assert_eq!(proxy.get("/x").status(), 200);
}

#[test]
fn keys_are_not_written_over_and_passwords_are_asked_for() {
    let folder = Folder::new();
    let again = sidegate(["keygen", &folder.path("first"), "--no-password"]);
    let said = "first.key: it is there already, and no key is written over: choose another name";
    assert!(again.code == Some(1) && again.stderr.contains(said), "{}", again.output());
    let nobody = sidegate(["keygen", &folder.path("third")]);
    assert!(nobody.code == Some(1) && nobody.stderr.contains("--password-file"), "{}", nobody.output());
    let password = folder.dir.write("password", "open\n");
    let password = password.to_str().unwrap();
    let made = sidegate(["keygen", &folder.path("third"), "--password-file", password]);
    assert_eq!(made.code, Some(0), "{}", made.output());
    let key = folder.path("third.key");
    let module = folder.path("modules/guard.so");
    let wrong = folder.dir.write("wrong", "shut\n");
    let refused = sidegate(["sign", "--key", &key, "--password-file", wrong.to_str().unwrap(), &module]);
    assert!(refused.code == Some(1) && refused.stderr.contains("third.key"), "{}", refused.output());
    let signed = sidegate(["sign", "--key", &key, "--password-file", password, "--comment", "for a test", &module]);
    assert_eq!(signed.code, Some(0), "{}", signed.output());
    folder.accepts(signed_by(&["third.pub"]));
    let config = folder.path("config.json");
    let inspected = sidegate(["inspect", "guard", "-c", &config]);
    let line = format!("signed by       {} (for a test)", folder.number("third"));
    assert!(inspected.stdout.contains(&line), "{}", inspected.output());
}

#[test]
fn comments_show_what_they_hide() {
    let folder = Folder::new();
    let (key, module) = (folder.path("first.key"), folder.path("modules/guard.so"));
    // A terminal would obey the second, and turn the line by the first.
    let signed = sidegate(["sign", "--key", &key, "--comment", "by\u{202e}you\u{1b}[1m\u{200b}", &module]);
    assert_eq!(signed.code, Some(0), "{}", signed.output());
    folder.accepts(signed_by(&["first.pub"]));
    for format in ["text", "json"] {
        let config = folder.path("config.json");
        let inspected = sidegate(["inspect", "guard", "-c", &config, "--format", format]);
        assert!(inspected.stdout.contains("by\u{fffd}you\u{fffd}[1m\u{fffd}"), "{}", inspected.output());
    }
}
