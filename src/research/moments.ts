/** Moments of a sample, from simple-statistics: its types ask for lists that may be changed, and it changes none. */
import * as library from 'simple-statistics';

type Numbers = readonly number[];

export const mean = (values: Numbers): number => library.mean(values as number[]);
export const sampleVariance = (values: Numbers): number => library.sampleVariance(values as number[]);
export const sampleStandardDeviation = (values: Numbers): number =>
  library.sampleStandardDeviation(values as number[]);
export const sampleSkewness = (values: Numbers): number => library.sampleSkewness(values as number[]);
/** The excess: 0 for a normal distribution. */
export const sampleKurtosis = (values: Numbers): number => library.sampleKurtosis(values as number[]);
