use super::*;
use crate::document::{Format, parse};
use crate::schema::{Absent, Key, Object, Standing};

static DOCUMENT: Shape = Shape::Object(&TABLE);

static TABLE: Object = Object::new(
    "test",
    "",
    &[
        key("name", Shape::Text),
        Key { absent: Absent::Error("a name"), ..key("v", Shape::Name) },
        key("a", Shape::Integer(1, 128)),
        key("b", Shape::Duration),
        key("e", Shape::Words(&["append", "pass"])),
        key("f", crate::schema::NUMBER),
        key("private_key", Shape::Duration),
        key("g", Shape::PositiveDuration),
        Key { doc: "not needed", standing: Standing::Warned, ..key("pid", Shape::Anything) },
        Key { doc: "it would not be honoured", standing: Standing::Refused, ..key("guard", Shape::Anything) },
        Key { standing: Standing::Quiet, ..key("still", Shape::Anything) },
    ],
);

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, absent: Absent::Default(""), doc: "", standing: Standing::Mosn }
}

fn read(text: &str, body: impl FnOnce(&mut ObjectReader<'_>)) -> (Vec<String>, Vec<String>) {
    let node = parse(text, Format::Yaml).unwrap();
    let report = Report::new("f.yaml");
    let mut object = Cursor::root(&node, &report, &DOCUMENT).object(&TABLE).unwrap();
    body(&mut object);
    object.finish();
    let lines = |list: Vec<crate::Diagnostic>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    match report.finish() {
        Ok(warnings) => (vec![], lines(warnings.shown)),
        Err(all) => (lines(all.errors), lines(all.warnings)),
    }
}

#[test]
fn keys_have_no_case_and_unread_keys_are_judged() {
    let (errors, warnings) = read("Name: x\nPID: 3\nguard: true\nnme: 1\ncolour: 2\nstill: 1\n", |object| {
        assert_eq!(object.get("name").and_then(|c| c.string()), Some("x"));
    });
    assert_eq!(warnings, ["f.yaml:2:6: PID: known MOSN key that does nothing here: not needed"]);
    assert_eq!(
        errors,
        [
            "f.yaml:3:8: guard: not available yet: it would not be honoured; expected no such key, found true",
            "f.yaml:4:1: nme: unknown key; did you mean \"name\"?",
            "f.yaml:5:1: colour: unknown key; known here are name, v, a, b, e, f, private_key, g",
        ]
    );
}

#[test]
fn refused_keys_may_say_nothing() {
    for text in ["guard: false", "guard: ''", "guard: 0", "guard: []", "guard: {}", "guard:"] {
        assert_eq!(read(text, |_| {}), (vec![], vec![]), "{text}");
    }
}

#[test]
fn keys_that_differ_in_case_only_stand_twice() {
    let (errors, _) = read("name: x\nName: y\n", |object| {
        object.get("name");
    });
    assert_eq!(
        errors,
        ["f.yaml:2:1: Name: key stands twice, \"name\" and \"Name\" are the same; the first is at f.yaml:1:1"]
    );
}

#[test]
fn wrong_types_name_both_sides() {
    for (text, expected) in [
        ("v: 3", "f.yaml:1:4: v: expected a string, found number 3"),
        ("v: [1]", "f.yaml:1:4: v: expected a string, found an array"),
        ("name: x", "f.yaml:1:1: v: required key is missing; expected a name"),
        ("v: null", "f.yaml:1:1: v: required key is missing; expected a name"),
    ] {
        let (errors, _) = read(text, |object| {
            object.required("v").and_then(|c| c.string());
        });
        assert_eq!(errors, [expected], "{text}");
    }
}

#[test]
fn numbers_durations_and_words() {
    let text = "a: 1.5\nb: 30\ng: 0s\ne: appendd\nf: -1\nprivate_key: 1s2x\n";
    let (errors, _) = read(text, |object| {
        object.get("a").and_then(|c| c.integer());
        object.get("b").and_then(|c| c.duration());
        object.get("g").and_then(|c| c.duration());
        object.get("e").and_then(|c| c.choice(&[("append", 1), ("pass", 2)]));
        object.get("f").and_then(|c| c.integer());
        object.get("private_key").and_then(|c| c.duration());
    });
    assert_eq!(
        errors,
        [
            "f.yaml:1:4: a: expected an integer from 1 to 128, found number 1.5",
            "f.yaml:2:4: b: expected a duration string such as \"30s\", found number 30",
            "f.yaml:3:4: g: expected a duration above zero, found string \"0s\"",
            "f.yaml:4:4: e: expected \"append\" or \"pass\", found string \"appendd\"",
            "f.yaml:5:4: f: expected an integer that is not negative, found number -1",
            "f.yaml:6:14: private_key: expected a duration with units ns, us, ms, s, m or h, \
             found a string that is not shown",
        ]
    );
    for (text, expected) in [
        ("b: ''", "expected a duration such as \"30s\", found string \"\""),
        ("b: '30'", "expected a duration with a unit (ns, us, ms, s, m or h) such as \"30s\", found string \"30\""),
    ] {
        let (errors, _) = read(text, |object| {
            object.get("b").and_then(|c| c.duration());
        });
        assert_eq!(errors, [format!("f.yaml:1:4: b: {expected}")]);
    }
}

#[test]
#[should_panic(expected = "no such key to read: \"w\"")]
fn keys_that_the_table_lacks_are_not_read() {
    read("name: x", |object| {
        object.get("w");
    });
}

#[test]
#[should_panic(expected = "name is not read as its table says: Text")]
fn values_are_read_as_the_table_says() {
    read("name: x", |object| {
        object.get("name").and_then(|c| c.integer());
    });
}
