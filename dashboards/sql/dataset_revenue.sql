-- What each dataset brought its contributors, and under which licence it is.
SELECT d.text_id, d.license, e.token, sum(e.amount) AS amount, count(DISTINCT e.account) AS accounts
FROM earnings e
JOIN datasets d ON d.dataset_id = e.dataset_id AND d.valid_to_block IS NULL
WHERE e.role = 'data'
GROUP BY d.text_id, d.license, e.token
ORDER BY amount DESC, d.text_id, e.token;
