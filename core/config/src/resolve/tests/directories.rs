//! Lists that come from directories.

use std::path::PathBuf;

use super::support::{BASE, env, lines, registry};
use crate::{Config, ConfigErrors, LoadMode, load};

/// A folder with a configuration; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("sidegate-{name}-{}", std::process::id())));
        for (path, text) in files {
            let path = folder.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        load(&self.0.join("main.yaml"), &registry().0, &env(), LoadMode::NoLoad)
    }

    /// The errors, without the folder.
    fn errors(&self) -> Vec<String> {
        let errors = self.load().map(|_| ()).unwrap_err();
        lines(&errors.errors).iter().map(|line| line.replace(&format!("{}/", self.0.display()), "")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The base with virtual hosts and clusters in directories.
fn main_file() -> String {
    let (head, rest) = BASE.split_once("    virtual_hosts:\n").unwrap();
    let (_, rest) = rest.split_once("  listeners:\n").unwrap();
    let (middle, rest) = rest.split_once("  clusters:\n").unwrap();
    let (_, admin) = rest.split_once("admin:\n").unwrap();
    format!("{head}    router_configs: hosts\n  listeners:\n{middle}  clusters_configs: ./clusters\nadmin:\n{admin}")
}

const HOST_A: &str = r#"{"name": "a", "domains": ["a.com"],
 "routers": [{"match": {"prefix": "/"}, "route": {"cluster_name": "c"}}]}"#;
const HOST_B: &str = "name: b\ndomains: ['*']\nrouters:\n- match: {path: /b}\n  route: {cluster_name: d}\n";

#[test]
fn each_file_is_an_element() {
    let folder = Folder::new(
        "directories",
        &[
            ("main.yaml", &main_file()),
            ("hosts/2.json", HOST_A),
            ("hosts/1.yml", HOST_B),
            ("hosts/notes.txt", "no host"),
            ("hosts/.hidden.json", "{"),
            ("hosts/deeper/3.json", "{"),
            ("clusters/c.json", r#"{"name": "c"}"#),
            ("clusters/d.yaml", "name: d"),
        ],
    );
    let config = folder.load().unwrap_or_else(|errors| panic!("{errors}"));
    let hosts: Vec<_> = config.routers[0].virtual_hosts().iter().map(|host| &**host.name()).collect();
    assert_eq!(hosts, ["b", "a"]);
    assert_eq!(config.clusters.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!(config.dump["servers"][0]["routers"][0]["virtual_hosts"][1]["name"], "a");
}

#[test]
fn errors_name_the_file_and_the_place_in_it() {
    let folder = Folder::new(
        "directory-errors",
        &[
            ("main.yaml", &main_file().replace("default_log_level: INFO", "default_log_level: LOUD")),
            ("hosts/1.json", &HOST_A.replace("\"c\"", "\"nope\"")),
            ("hosts/2.json", HOST_A),
            ("clusters/c.json", r#"{"name": "c", "name": "c"}"#),
            ("clusters/d.json", r#"{"name": "c"}"#),
        ],
    );
    assert_eq!(
        folder.errors(),
        [
            "main.yaml:3:22: servers[0].default_log_level: \
             expected one of FATAL, ERROR, WARN, INFO, DEBUG, TRACE, found string \"LOUD\"",
            "hosts/1.json:2:67: servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name: \
             cluster \"nope\" is not defined; defined are c",
            "hosts/2.json:1:10: servers[0].routers[0].virtual_hosts[1].name: \
             virtual host name \"a\" is given twice; the first is at \
             hosts/1.json:1:10 (servers[0].routers[0].virtual_hosts[0].name)",
            "hosts/2.json:1:27: servers[0].routers[0].virtual_hosts[1].domains[0]: domain \"a.com\" is given twice; \
             the first is at hosts/1.json:1:27 (servers[0].routers[0].virtual_hosts[0].domains[0])",
            "clusters/c.json:1:15: cluster_manager.clusters[0].name: key stands twice; the first is at clusters/c.json:1:2",
            "clusters/d.json:1:10: cluster_manager.clusters[1].name: \
             cluster name \"c\" is given twice; the first is at clusters/c.json:1:10 (cluster_manager.clusters[0].name)",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_reported_at_once() {
    let both = "  clusters_configs: ./clusters\n  clusters: [{name: c}]\n";
    let folder = Folder::new(
        "directory-unreadable",
        &[
            ("main.yaml", &main_file().replace("  clusters_configs: ./clusters\n", both)),
            ("hosts/1.json", "{\"name\": \"a\",}"),
            ("hosts/2.yaml", "a: ["),
        ],
    );
    assert_eq!(
        folder.errors(),
        [
            "main.yaml:18:21: cluster_manager.clusters_configs: \
             expected either `clusters` or `clusters_configs`, found both",
            "hosts/1.json:1:14: expected a key in double quotes (a comma may not stand last), found '}'",
            "hosts/2.yaml:2:1: expected valid YAML, found an error: \
             while parsing a node, did not find expected node content",
        ]
    );
    std::fs::write(folder.0.join("main.yaml"), main_file()).unwrap();
    std::fs::remove_dir_all(folder.0.join("hosts")).unwrap();
    assert_eq!(
        folder.errors(),
        [
            "main.yaml:6:21: servers[0].routers[0].router_configs: \
             cannot read the directory: No such file or directory (os error 2)",
            "main.yaml:18:21: cluster_manager.clusters_configs: \
             cannot read the directory: No such file or directory (os error 2)",
        ]
    );
}
