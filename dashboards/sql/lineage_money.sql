-- Money that models passed up to the models they were made from, in sub-units (10^-sub_digits of a base unit).
SELECT p.src_id, m.kind AS src_kind, p.dst_id, p.token, p.sub_digits, sum(p.amount_sub) AS amount_sub
FROM lineage_paths p
LEFT JOIN model_versions v ON v.version_id = p.src_id AND v.valid_to_block IS NULL
LEFT JOIN models m ON m.model_sk = v.model_sk AND m.valid_to_block IS NULL
GROUP BY p.src_id, m.kind, p.dst_id, p.token, p.sub_digits
ORDER BY amount_sub DESC, p.src_id, p.dst_id, p.token, p.sub_digits;
