//! The words for mistakes. Each has its section in `docs/errors`, which `tb explain` prints.

/// An enum whose members have names for programs: one list, from which names and `ALL` are made.
#[macro_export]
macro_rules! named_enum {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$doc:meta])* $member:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* #[doc = concat!("`", $text, "`")] $member,)+
        }

        impl $name {
            /// Every member, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$member,)+];

            /// The name that people and programs see; it stays the same between versions.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$member => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named_enum! {
    /// What is wrong with a project's files. The planner and the server report with the same words.
    pub enum Code {
        BackfillValue = "backfill-value",
        BadSecret = "bad-secret",
        BlockExpected = "block-expected",
        BlockNotAllowed = "block-not-allowed",
        BucketHasPath = "bucket-has-path",
        BucketHasScheme = "bucket-has-scheme",
        BucketNameInvalid = "bucket-name-invalid",
        ColumnFormNotSupported = "column-form-not-supported",
        ColumnNameInvalid = "column-name-invalid",
        ColumnSyntax = "column-syntax",
        ColumnTypeDoesNotFitPath = "column-type-does-not-fit-path",
        ColumnTypeMissing = "column-type-missing",
        ColumnTypeNotSupported = "column-type-not-supported",
        ColumnTypeRefused = "column-type-refused",
        ColumnTypeUnknown = "column-type-unknown",
        ColumnWithoutPath = "column-without-path",
        CommaMissing = "comma-missing",
        CommentInSchema = "comment-in-schema",
        ConnectionNotFound = "connection-not-found",
        ConnectionRegionMissing = "connection-region-missing",
        ConnectionRoleMissing = "connection-role-missing",
        ConnectionTypeMissing = "connection-type-missing",
        ConnectionTypeNotSupported = "connection-type-not-supported",
        ConnectionTypeUnknown = "connection-type-unknown",
        DuplicateColumn = "duplicate-column",
        DuplicateInstruction = "duplicate-instruction",
        DuplicateNode = "duplicate-node",
        DuplicateResource = "duplicate-resource",
        EngineArguments = "engine-arguments",
        EngineIsDeletedColumnUnknown = "engine-is-deleted-column-unknown",
        EngineIsDeletedMissing = "engine-is-deleted-missing",
        EngineIsDeletedNotAMark = "engine-is-deleted-not-a-mark",
        EngineIsDeletedPath = "engine-is-deleted-path",
        EngineIsDeletedType = "engine-is-deleted-type",
        EngineMissing = "engine-missing",
        EngineNotSupported = "engine-not-supported",
        EngineUnknown = "engine-unknown",
        EngineVerColumnUnknown = "engine-ver-column-unknown",
        EngineVerMissing = "engine-ver-missing",
        EngineVerNotAVersion = "engine-ver-not-a-version",
        EngineVerPath = "engine-ver-path",
        EngineVerType = "engine-ver-type",
        FileIgnored = "file-ignored",
        FileTooLarge = "file-too-large",
        ImportIncomplete = "import-incomplete",
        ImportNotSupported = "import-not-supported",
        IndexInSchema = "index-in-schema",
        IndexSyntax = "index-syntax",
        InstructionIgnored = "instruction-ignored",
        InstructionInSchema = "instruction-in-schema",
        InstructionNotSupported = "instruction-not-supported",
        JsonPathInvalid = "json-path-invalid",
        JsonPathMissing = "json-path-missing",
        JsonPathNotOffered = "json-path-not-offered",
        KeyColumnNullable = "key-column-nullable",
        KeyInFloat = "key-in-float",
        KeyInTime = "key-in-time",
        KeyTypeDoesNotFit = "key-type-does-not-fit",
        NameTaken = "name-taken",
        NodeMissing = "node-missing",
        NodeNameInvalid = "node-name-invalid",
        NodeTypeUnknown = "node-type-unknown",
        OptionMissing = "option-missing",
        OptionNotAllowed = "option-not-allowed",
        OptionValue = "option-value",
        ParenthesisNotClosed = "parenthesis-not-closed",
        ParenthesisNotOpened = "parenthesis-not-opened",
        QuoteNotClosed = "quote-not-closed",
        RecordPathNotSupported = "record-path-not-supported",
        RegionInvalid = "region-invalid",
        RegionMismatch = "region-mismatch",
        ResourceNameInvalid = "resource-name-invalid",
        RoleArnInvalid = "role-arn-invalid",
        SchemaEmpty = "schema-empty",
        SchemaMissing = "schema-missing",
        SecondPublishedNode = "second-published-node",
        SecretNotAllowed = "secret-not-allowed",
        SecretNotSet = "secret-not-set",
        SecretSyntax = "secret-syntax",
        SortingKeyAggregate = "sorting-key-aggregate",
        SortingKeyChanges = "sorting-key-changes",
        SortingKeyColumnUnknown = "sorting-key-column-unknown",
        SortingKeyExpression = "sorting-key-expression",
        SortingKeyMissesKey = "sorting-key-misses-key",
        SortingKeyMissing = "sorting-key-missing",
        SortingKeyNullable = "sorting-key-nullable",
        SortingKeyVersion = "sorting-key-version",
        SortingKeyWithoutItemKey = "sorting-key-without-item-key",
        SqlMissing = "sql-missing",
        TableArnInvalid = "table-arn-invalid",
        TextAfterBlockMarker = "text-after-block-marker",
        TokenPermission = "token-permission",
        TokenSyntax = "token-syntax",
        UnknownInstruction = "unknown-instruction",
        ValueMissing = "value-missing",
    }
}
