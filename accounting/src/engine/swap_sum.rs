//! Replaces a stock `sum` that a plan brought along (a `DataFrame` builds its own) by the checked one of the same name.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

use super::sum_checked::{SumChecked, sum_checked};

/// The rule.
#[derive(Debug)]
pub struct SwapSum {
    checked: Arc<AggregateUDF>,
}

impl Default for SwapSum {
    fn default() -> Self {
        Self { checked: Arc::new(sum_checked()) }
    }
}

impl SwapSum {
    fn is_stock(function: &AggregateUDF) -> bool {
        function.name() == "sum" && function.inner().downcast_ref::<SumChecked>().is_none()
    }

    fn swap(&self, expr: Expr) -> Transformed<Expr> {
        match expr {
            Expr::AggregateFunction(AggregateFunction { func, params }) if Self::is_stock(&func) => {
                Transformed::yes(Expr::AggregateFunction(AggregateFunction { func: Arc::clone(&self.checked), params }))
            }
            Expr::WindowFunction(mut window) => match &window.fun {
                WindowFunctionDefinition::AggregateUDF(function) if Self::is_stock(function) => {
                    window.fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(&self.checked));
                    Transformed::yes(Expr::WindowFunction(window))
                }
                _ => Transformed::no(Expr::WindowFunction(window)),
            },
            other => Transformed::no(other),
        }
    }
}

impl AnalyzerRule for SwapSum {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_down_with_subqueries(|node| {
            node.map_expressions(|expr| expr.transform_down(|expr| Ok(self.swap(expr))))
        })
        .map(|transformed| transformed.data)
    }
    fn name(&self) -> &'static str {
        "swap_sum"
    }
}
