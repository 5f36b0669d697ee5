use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sidegate-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A watch, and what its files hold each time it says that they are at rest.
struct Told {
    watch: FileWatch,
    seen: Receiver<Vec<Option<String>>>,
}

impl Told {
    fn of(paths: &[&Path]) -> Self {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        let (tell, seen) = channel();
        let read = paths.clone();
        let at_rest = move || {
            let _ = tell.send(read.iter().map(|path| fs::read_to_string(path).ok()).collect());
        };
        // Nothing that was there before counts.
        let since = SystemTime::now() + Duration::from_secs(3600);
        Told { watch: FileWatch::start(paths, since, at_rest).unwrap(), seen }
    }

    #[track_caller]
    fn next(&self) -> Vec<Option<String>> {
        self.seen.recv_timeout(PATIENCE).expect("told in time")
    }

    #[track_caller]
    fn expect(&self, contents: &[Option<&str>]) {
        let contents: Vec<_> = contents.iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(self.next(), contents);
    }
}

fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("partial");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn a_file_that_is_renamed_over_is_told_each_time() {
    let folder = Folder::new("rename");
    let file = folder.join("config.yaml");
    fs::write(&file, "0").unwrap();
    let told = Told::of(&[&file]);
    for round in 1..4 {
        replace(&file, &round.to_string());
        told.expect(&[Some(&round.to_string())]);
    }
    drop(told.watch);
    assert!(told.seen.try_recv().is_err(), "nothing is told twice");
}

#[test]
fn what_is_written_in_place_counts_when_its_writer_has_closed_it() {
    let folder = Folder::new("place");
    let (file, other) = (folder.join("config.yaml"), folder.join("keys.json"));
    fs::write(&file, "0").unwrap();
    fs::write(&other, "a").unwrap();
    let told = Told::of(&[&file, &other]);
    let mut writer = File::create(&file).unwrap();
    writer.write_all(b"half").unwrap();
    writer.flush().unwrap();
    // Something else changes meanwhile, and waits for it.
    replace(&other, "b");
    writer.write_all(b" and half").unwrap();
    drop(writer);
    told.expect(&[Some("half and half"), Some("b")]);
}

#[test]
fn the_links_of_a_config_map_are_followed() {
    let folder = Folder::new("configmap");
    let publish = |round: usize, text: &str| {
        let version = format!("..version_{round}");
        fs::create_dir(folder.join(&version)).unwrap();
        fs::write(folder.join(&version).join("config.yaml"), text).unwrap();
        symlink(&version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if round > 0 {
            fs::remove_dir_all(folder.join(&format!("..version_{}", round - 1))).unwrap();
        }
    };
    publish(0, "0");
    symlink("..data/config.yaml", folder.join("config.yaml")).unwrap();
    let told = Told::of(&[&folder.join("config.yaml")]);
    for round in 1..4 {
        publish(round, &round.to_string());
        told.expect(&[Some(&round.to_string())]);
    }
}

#[test]
fn a_file_that_goes_and_comes_back_is_told() {
    let folder = Folder::new("back");
    let inner = folder.join("deep/er");
    fs::create_dir_all(&inner).unwrap();
    let file = inner.join("config.yaml");
    fs::write(&file, "0").unwrap();
    let told = Told::of(&[&file]);
    fs::remove_file(&file).unwrap();
    told.expect(&[None]);
    fs::write(&file, "1").unwrap();
    told.expect(&[Some("1")]);
    // With the folders that led to it.
    fs::remove_dir_all(folder.join("deep")).unwrap();
    told.expect(&[None]);
    fs::create_dir_all(&inner).unwrap();
    replace(&file, "2");
    told.expect(&[Some("2")]);
}

#[test]
fn a_folder_is_followed_with_what_is_in_it() {
    let folder = Folder::new("folder");
    let routes = folder.join("routes");
    fs::create_dir(&routes).unwrap();
    let told = Told::of(&[&routes]);
    let one = routes.join("one.yaml");
    fs::write(&one, "1").unwrap();
    told.next();
    replace(&one, "22");
    told.next();
    let mut writer = File::options().append(true).open(&one).unwrap();
    writer.write_all(b"more").unwrap();
    drop(writer);
    told.next();
    fs::remove_file(&one).unwrap();
    told.next();
}

#[test]
fn other_files_are_followed_when_told_to() {
    let folder = Folder::new("others");
    let (file, keys) = (folder.join("config.yaml"), folder.join("keys.json"));
    fs::write(&file, "0").unwrap();
    let told = Told::of(&[&file]);
    fs::write(&keys, "k").unwrap();
    // What was read of it an hour ago is not what is there.
    let since = SystemTime::now() - Duration::from_secs(3600);
    told.watch.follow(vec![file.clone(), keys.clone()], since);
    told.next();
    replace(&keys, "l");
    told.next();
    // Not followed any more: only the other one is told.
    told.watch.follow(vec![file.clone()], since);
    replace(&file, "1");
    told.expect(&[Some("1")]);
}

#[test]
fn what_changed_before_the_watch_began_is_told() {
    let folder = Folder::new("before");
    let file = folder.join("config.yaml");
    fs::write(&file, "1").unwrap();
    let (tell, told) = channel();
    let since = SystemTime::now() - Duration::from_secs(3600);
    let _watch = FileWatch::start(vec![file], since, move || tell.send(()).unwrap_or_default()).unwrap();
    told.recv_timeout(PATIENCE).expect("told");
}
