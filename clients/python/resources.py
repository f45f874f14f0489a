from connections import orders_dynamo
from tinybird_sdk import column, define_datasource, engine, t

orders = define_datasource(
    "orders",
    {
        "schema": {
            "pk": column(t.string(), {"json_path": "$.Item.pk"}),
            "sk": column(t.string(), {"json_path": "$.Item.sk"}),
            "_record": column(t.string(), {"json_path": "$.NewImage"}),
            "_old_record": column(t.string().nullable(), {"json_path": "$.OldImage"}),
            "_timestamp": column(t.date_time64(3), {"json_path": "$.ApproximateCreationDateTime"}),
            "_event_name": column(t.string().low_cardinality(), {"json_path": "$.eventName"}),
            "_is_deleted": column(t.uint8(), {"json_path": "$._is_deleted"}),
        },
        "engine": engine.replacing_merge_tree({"sorting_key": ["pk", "sk"], "ver": "_timestamp", "is_deleted": "_is_deleted"}),
        "dynamodb": {
            "connection": orders_dynamo,
            "table_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
            "export_bucket": "my-orders-exports",
        },
    },
)
