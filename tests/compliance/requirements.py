"""What SQLite can do, as SQLAlchemy's compliance suite asks for it.

The same for SQLite's own dialect and for ours, so that what the one passes and the
other skips shows. Only what differs from the suite's defaults stands here; it is what
SQLAlchemy's own tests say of SQLite with a database in a file.
"""

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements
from typing_extensions import override

CAN = (
    "autocommit",
    "boolean_col_expressions",
    "check_constraint_reflection",
    "computed_columns",
    "computed_columns_reflect_persisted",
    "computed_columns_stored",
    "computed_columns_virtual",
    "create_table_as",
    "create_temp_table_as",
    "ctes",
    "ctes_with_values",
    "date_historic",
    "datetime_historic",
    "datetime_literals",
    "dbapi_lastrowid",
    "emulated_lastrowid",
    "emulated_lastrowid_even_with_sequences",
    "except_",
    "expression_server_defaults",
    "fetch_expression",
    "fetch_offset_with_options",
    "fk_constraint_option_reflection_ondelete_noaction",
    "fk_constraint_option_reflection_ondelete_restrict",
    "fk_constraint_option_reflection_onupdate_restrict",
    "float_or_double_precision_behaves_generically",
    "foreign_key_constraint_name_reflection",
    "foreign_key_constraint_option_reflection_ondelete",
    "foreign_key_constraint_option_reflection_onupdate",
    "index_ddl_if_exists",
    "indexes_check_column_order",
    "indexes_with_expressions",
    "infinity_floats",
    "inline_check_constraint_reflection",
    "intersect",
    "isolation_level",
    "json_array_indexes",
    "json_type",
    "legacy_unconditional_json_extract",
    "mod_operator_as_percent_sign",
    "non_updating_cascade",
    "nullsordering",
    "nvarchar_types",
    "order_by_collation",
    "order_by_label_with_expression",
    "percent_schema_names",
    "precision_numerics_enotation_small",
    "precision_numerics_retains_significant_digits",
    "reflect_table_options",
    "reflects_pk_names",
    "regexp_match",
    "repeated_column_foreign_keys",
    "repeated_remote_col_foreign_keys",
    "server_defaults",
    "skip_autocommit_rollback",
    "supports_bitwise_and",
    "supports_bitwise_not",
    "supports_bitwise_or",
    "supports_bitwise_shift",
    "supports_bitwise_xor",
    "table_ddl_if_exists",
    "tuple_in",
    "tuple_in_w_empty",
    "unicode_ddl",
    "update_from",
    "view_column_reflection",
    "view_reflection",
    "views",
    "window_functions",
    "window_range",
    "window_range_numeric",
)

CANNOT = (
    "foreign_keys",
    "implicitly_named_constraints",
    "independent_connections",
    "json_index_supplementary_unicode_element",
    "nested_aggregates",
    "on_update_cascade",
    "temp_table_reflect_indexes",
    "temp_table_reflection",
    "temporary_tables",
)

FAILS = (
    "cast_precision_numerics_many_significant_digits",
    "numeric_received_as_decimal_untyped",
    "parens_in_union_contained_select_w_limit_offset",
    "parens_in_union_contained_select_wo_limit_offset",
    "precision_numerics_many_significant_digits",
)
"""Run all the same, and must fail."""


class Requirements(SuiteRequirements):
    """The suite's questions, answered for SQLite."""

    @override
    def get_order_by_collation(self, config: Any) -> str:
        return "NOCASE"


def _answer(rule: Any) -> property:
    return property(lambda _: rule())


for name in CAN:
    setattr(Requirements, name, _answer(exclusions.open))
for name in CANNOT:
    setattr(Requirements, name, _answer(exclusions.closed))
for name in FAILS:
    setattr(Requirements, name, _answer(exclusions.fails))
