use super::*;

#[tokio::test]
async fn what_waits_for_a_vault_is_told_since_its_epoch() {
    let published = fixture::publish_short().await;
    let query = format!(
        "{{ status {{ unfunded {{ vault token sinceEpoch owed {{ raw }} held {{ raw }} waiting {{ formatted }} }} }} \
         account(address: \"{ANN}\") {{ pending {{ kind reason untilBlock sinceEpoch vault amount {{ raw }} }} }} \
         then: account(address: \"{ANN}\", asOf: {{epoch: 0}}) {{ pending {{ sinceEpoch amount {{ raw }} }} }} }}"
    );
    let got = data(&published, &query).await;
    assert_eq!(
        got["status"]["unfunded"],
        json!([{ "vault": shown(VAULT), "token": shown(NATIVE), "sinceEpoch": 0, "owed": { "raw": "361" },
            "held": { "raw": "350" }, "waiting": { "formatted": "0.000000000000000009" } }])
    );
    // Seven of epoch 0 came in epoch 1, which left nothing of it; nine of epoch 1 still wait.
    assert_eq!(
        got["account"]["pending"],
        json!([{ "kind": "UNFUNDED", "reason": "unfunded", "untilBlock": null, "sinceEpoch": 1, "vault": shown(VAULT),
            "amount": { "raw": "9" } }])
    );
    assert_eq!(got["then"]["pending"], json!([{ "sinceEpoch": 0, "amount": { "raw": "7" } }]));
    assert_eq!(
        data(&fixture::publish().await, "{ status { unfunded { vault } } }").await["status"]["unfunded"],
        json!([])
    );
}
