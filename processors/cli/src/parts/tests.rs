//! Tests of `parts`; they start nothing.

use super::*;
use std::collections::BTreeSet;

/// An empty folder of one test, deleted at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tapeline-parts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(folder: &Path, below: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            found.insert(name);
        }
    }
    found
}

#[test]
fn every_script_of_deploy_local_is_embedded() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local");
    let is_script = |name: &String| !name.ends_with(".md") && !name.contains("__pycache__");
    let present: BTreeSet<String> = files(&source, "").into_iter().filter(is_script).collect();
    let embedded: BTreeSet<String> = SCRIPTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(embedded, present);
}

#[test]
fn scripts_are_written_once_and_again_when_changed() {
    let folder = Folder::new("write");
    write_scripts(&folder.0).unwrap();
    let names: BTreeSet<String> = SCRIPTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files(&folder.0, ""), names);

    let kept = fs::metadata(folder.0.join("lib.sh")).unwrap().modified().unwrap();
    fs::write(folder.0.join("kafka.sh"), "old").unwrap();
    write_scripts(&folder.0).unwrap();
    assert_eq!(
        fs::read_to_string(folder.0.join("kafka.sh")).unwrap(),
        include_str!("../../../../deploy/local/kafka.sh")
    );
    assert_eq!(fs::metadata(folder.0.join("lib.sh")).unwrap().modified().unwrap(), kept);
    assert_eq!(files(&folder.0, ""), names);
}

#[test]
fn home_is_absolute_and_empty_means_default() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(home(None).unwrap(), here.join(".tapeline"));
    assert_eq!(home(Some(OsString::new())).unwrap(), here.join(".tapeline"));
    assert_eq!(home(Some("x/y".into())).unwrap(), here.join("x/y"));
    assert_eq!(home(Some("/srv/parts".into())).unwrap(), PathBuf::from("/srv/parts"));
}

#[test]
fn reset_passes_its_consent_on() {
    assert_eq!(Action::Reset { yes: false }.arguments(), ["reset"]);
    assert_eq!(Action::Reset { yes: true }.arguments(), ["reset", "--yes"]);
}
