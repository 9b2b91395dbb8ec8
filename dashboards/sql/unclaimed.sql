-- Who could claim how much after the newest epoch.
SELECT account, vault, token, cumulative, claimed, claimable
FROM claims
WHERE epoch = (SELECT max(epoch) FROM claims) AND claimable > 0
ORDER BY claimable DESC, account, vault, token
LIMIT 50;
