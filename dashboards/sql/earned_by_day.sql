-- What the ten accounts that earned most earned, day by day.
SELECT d.day, d.account, d.token, d.amount
FROM earnings_daily d
JOIN (
    SELECT account, token, sum(amount) AS total FROM earnings GROUP BY account, token ORDER BY total DESC, account, token LIMIT 10
) t ON t.account = d.account AND t.token = d.token
ORDER BY d.day, d.amount DESC, d.account, d.token;
