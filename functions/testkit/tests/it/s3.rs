use testkit::Bucket;

#[tokio::test]
async fn each_test_has_a_bucket_of_its_own() {
    let (one, other) = tokio::join!(Bucket::create(), Bucket::create());
    one.put("staging/a b=1/x.parquet", b"bytes").await;
    assert_eq!(one.get("staging/a b=1/x.parquet").await, b"bytes");
    assert_eq!(one.keys("staging").await, ["staging/a b=1/x.parquet"]);
    assert!(other.keys("").await.is_empty());
    assert!(one.url("p").starts_with("s3://cdl-test-") && one.url("p").ends_with("/p"));
}
