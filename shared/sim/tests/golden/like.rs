//! Whether two JSON texts have the same shape: keys, their order, and the types of values.

use serde_json::Value;
use serde_json::value::RawValue;

/// Where `found` differs in shape from `golden`; empty where it does not.
pub(crate) fn differences(golden: &str, found: &str) -> Vec<String> {
    let (Ok(golden), Ok(found)) = (serde_json::from_str(golden), serde_json::from_str(found)) else {
        return vec![format!("no JSON: {found}")];
    };
    let mut all = Vec::new();
    compare("", golden, found, &mut all);
    all
}

/// The fields of an object in the order they are written in.
fn fields(raw: &RawValue) -> Vec<(String, &RawValue)> {
    struct Fields<'a>(Vec<(String, &'a RawValue)>);
    impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Vec<(String, &'de RawValue)>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Self::Value, A::Error> {
                    let mut all = Vec::new();
                    while let Some(entry) = map.next_entry()? {
                        all.push(entry);
                    }
                    Ok(all)
                }
            }
            from.deserialize_map(Visit).map(Fields)
        }
    }
    serde_json::from_str::<Fields<'_>>(raw.get()).unwrap().0
}

fn elements(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap()
}

fn kind(raw: &RawValue) -> &'static str {
    match serde_json::from_str(raw.get()).unwrap() {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Numbers that may be missing: the broker writes null before there is a value.
const MAY_BE_NULL: [&str; 8] =
    [".last", ".change", ".open", ".high", ".low", ".close", ".change_percentage", ".prevclose"];

fn compare(path: &str, golden: &RawValue, found: &RawValue, all: &mut Vec<String>) {
    let (want, is) = (kind(golden), kind(found));
    let nullable = MAY_BE_NULL.iter().any(|it| path.ends_with(it)) && (want == "null" || is == "null");
    if want != is {
        if !nullable {
            all.push(format!("{path} is {is}, not {want}: {}", found.get()));
        }
        return;
    }
    match want {
        "an object" => {
            let (golden, found) = (fields(golden), fields(found));
            let names = |it: &[(String, &RawValue)]| it.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
            if names(&golden) != names(&found) {
                all.push(format!("{path} has {:?}, not {:?}", names(&found), names(&golden)));
                return;
            }
            for ((name, golden), (_, found)) in golden.iter().zip(&found) {
                compare(&format!("{path}.{name}"), golden, found, all);
            }
        }
        "a list" => {
            let (golden, found) = (elements(golden), elements(found));
            if found.is_empty() && !golden.is_empty() {
                all.push(format!("{path} is empty"));
            }
            // Each row has the shape of some row of the golden list.
            for (i, row) in found.iter().enumerate() {
                let tries: Vec<Vec<String>> = golden
                    .iter()
                    .map(|golden| {
                        let mut tried = Vec::new();
                        compare(&format!("{path}[{i}]"), golden, row, &mut tried);
                        tried
                    })
                    .collect();
                if let Some(least) = tries.into_iter().min_by_key(Vec::len).filter(|it| !it.is_empty()) {
                    all.extend(least);
                    return;
                }
            }
        }
        _ => {}
    }
}
