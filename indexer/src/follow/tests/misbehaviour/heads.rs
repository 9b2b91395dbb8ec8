//! Heads that are not where they should be.

use serde_json::{Value, json};

use super::{
    End::{Follows, Lags, Unfinal, Waits},
    Kind,
    Stand::{Last, Out, Up},
    answers::made_anew,
    kind,
    node::{Deed, MadeUp},
};

const LATEST: &str = "\"latest\"";
const SAFE: &str = "\"safe\"";
const FINAL: &str = "\"finalized\"";

pub(super) fn heads() -> Vec<Kind> {
    let fine = |name, deed| kind(name, deed, Follows, Follows, (Follows, Up));
    let unfinal = |name, deed| kind(name, deed, Follows, Unfinal, (Follows, Up));
    vec![
        kind(
            "null for the latest block",
            Deed::Result(LATEST, null),
            Follows,
            Waits("latest"),
            (Follows, Last("no latest block")),
        ),
        kind(
            "a head that went back and stays there",
            Deed::Asks(LATEST, |v| v["params"][0] = json!("0x2")),
            Follows,
            Lags,
            (Follows, Last("lags behind another's")),
        ),
        kind(
            "a head far ahead, whose blocks are null",
            Deed::Result(LATEST, far_ahead),
            Follows,
            Follows,
            (Follows, Last("no block")),
        ),
        fine("a head of another fork at every look", Deed::Result(LATEST, another)),
        fine("null for the safe block", Deed::Result(SAFE, null)),
        fine("an error for the safe block", Deed::Answer(SAFE, refused)),
        fine("a safe block far ahead", Deed::Result(SAFE, far_ahead)),
        unfinal("null for the finalised block", Deed::Result(FINAL, null)),
        unfinal("an error for the finalised block", Deed::Answer(FINAL, refused)),
        unfinal("a finalised block that went back", Deed::Asks(FINAL, |v| v["params"][0] = json!("0x2"))),
        kind(
            "a finalised block that is not the chain's",
            Deed::Result(FINAL, another),
            Follows,
            Unfinal,
            (Follows, Out("contradicts finalised block")),
        ),
        fine("a finalised block far ahead of the latest", Deed::Result(FINAL, far_ahead)),
    ]
}

fn null(result: &mut Value, _: &mut MadeUp) -> bool {
    *result = Value::Null;
    true
}

fn far_ahead(header: &mut Value, made_up: &mut MadeUp) -> bool {
    made_anew(header, made_up, "number", json!("0x1000"))
}

fn another(header: &mut Value, made_up: &mut MadeUp) -> bool {
    made_anew(header, made_up, "extraData", json!("0x1234"))
}

fn refused(answer: &mut Value) {
    answer.as_object_mut().unwrap().remove("result");
    answer["error"] = json!({"code": -32602, "message": "no such tag"});
}
