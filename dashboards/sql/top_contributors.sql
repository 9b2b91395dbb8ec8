-- Who earned most by data, and with how many contributions.
SELECT account, token, amount, contributions
FROM top_contributors
ORDER BY amount DESC, account, token
LIMIT 20;
