/* Undefines the macros that values.inc.h defines for one precision. */
#undef R
#undef UNIT_OF_WORD
#undef LOW_BITS
#undef TWO_THIRDS_BITS
#undef EXPONENT_MASK
#undef EXPONENT_UNIT
#undef MINUS_TWO_BITS
#undef MINUS_TWO_LN2
#undef LOG_DIVIDES
#undef COUNT
#undef POLYNOMIAL
#undef QUOTIENT
#undef QUANTILE_NEAR
