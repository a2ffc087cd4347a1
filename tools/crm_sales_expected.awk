# Count and sum of opportunities by account and stage, straight from sales_pipeline.csv: the other side of the check that
# tools/crm_sales.py and Lockstep lost nothing. Shares no code with either. Prints account|stage|count|sum, sorted.
BEGIN {
    FS = ","
    stage["Prospecting"] = "Prospecting"; stage["Engaging"] = "Negotiation/Review"
    stage["Won"] = "Closed Won"; stage["Lost"] = "Closed Lost"
}
NR > 1 && $1 != "" {
    sub(/\r$/, "", $8)
    key = $4 "|" stage[$5]
    count[key]++
    sum[key] += $8
}
END { for (key in count) printf "%s|%d|%.2f\n", key, count[key], sum[key] | "LC_ALL=C sort" }
