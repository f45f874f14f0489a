import { defineDatasource, engine, t } from "@tinybirdco/sdk";
import { ordersDynamo } from "./connections";

export const orders = defineDatasource("orders", {
  schema: {
    pk: t.string().jsonPath("$.Item.pk"),
    sk: t.string().jsonPath("$.Item.sk"),
    _record: t.string().jsonPath("$.NewImage"),
    _old_record: t.string().nullable().jsonPath("$.OldImage"),
    _timestamp: t.dateTime64(3).jsonPath("$.ApproximateCreationDateTime"),
    _event_name: t.string().lowCardinality().jsonPath("$.eventName"),
    _is_deleted: t.uint8().jsonPath("$._is_deleted"),
  },
  engine: engine.replacingMergeTree({
    sortingKey: ["pk", "sk"],
    ver: "_timestamp",
    isDeleted: "_is_deleted",
  }),
  dynamodb: {
    connection: ordersDynamo,
    tableArn: "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
    exportBucket: "my-orders-exports",
  },
});
