-- What is held, by reason: the first two words of a suspense account.
SELECT split_part(account, ':', 2) AS reason, vault, token, sum(amount) AS amount, count(*) AS accounts
FROM suspense
GROUP BY reason, vault, token
ORDER BY reason, vault, token;
