// The activations in double, for the trials of ops that apply them. Not here: the contract (activation.h).
#pragma once

#include "base/tolerance.h"
#include "kernels/spec/activation.h"

namespace assay::kernels {

double activation_exact(Activation activation, double x);
/// How far a kernel's value may lie from activation_exact(activation, x).
Tolerance activation_tolerance(Activation activation, double x);

}  // namespace assay::kernels
