/* Training of word averaging: for one batch at a time the forward pass, the gradients and a step of Adagrad.

   The equations are in models/labels/averaging.py. With p the probabilities and y the labels, the gradients
   of a document with n features f_i and the weight s in the loss are

       dL/dlogits = s (p - y) / w,   dL/dW = dL/dlogits h',   dL/dE[f_i] += W' dL/dlogits / n

   where w is the weight of the batch. Forward and backward pass of a document follow each other, so its
   embeddings are still in the cache. The gradients of the batch's distinct rows are stored one after
   another (slots). Sums are made in the order of the documents, in one thread, so results are reproducible. */

#include <string.h>

#include "core.h"

typedef struct {
    float *embeddings, *embedding_totals; /* E (rows, size); its sums of squared gradients (rows) */
    float *output, *output_totals;        /* W (classes, size); (classes) */
    float *bias, *bias_totals;            /* b (classes); (classes) */
    int64_t rows, size, classes;
    const int32_t *features; /* rows of E of all documents, concatenated */
    const int64_t *offsets;  /* start of each document in features; documents + 1 */
    const int64_t *labels;   /* the label of each document; NULL for multilabel, which has instead */
    const float *matrix;     /* (documents, classes): 1 for each label of the document, else 0 */
    const float *weights;    /* weight of each document in the loss */
    int64_t documents, num_features;
    int32_t *slots;   /* (rows): index of a row in gradients; all -1 between calls */
    int32_t *touched; /* (room): buffer for the distinct rows of a batch */
    float *gradients; /* (room, size): buffer for their gradients */
    int64_t room;
    float *work;      /* buffer of 2 size + classes (size + 2) numbers */
} Averaging;

static inline void ask_for(const Averaging *a, int64_t row, int64_t size) {
    PREFETCH(a->embeddings + row * size);
    PREFETCH(a->slots + row);
}

/* Return the log-probability of a document's labels, given its logits, which are replaced by p - y: a softmax
   for one label per document, a sigmoid for each label in multilabel data. */
static double read_labels(const Averaging *a, int64_t document, float *logits) {
    double found = 0;
    if (a->labels) {
        float top = logits[0];
        for (int64_t c = 1; c < a->classes; c++) top = logits[c] > top ? logits[c] : top;
        double sum = 0;
        for (int64_t c = 0; c < a->classes; c++) sum += exp((double)logits[c] - top);
        double log_sum = top + log(sum);
        int64_t label = a->labels[document];
        found = logits[label] - log_sum;
        for (int64_t c = 0; c < a->classes; c++)
            logits[c] = (float)(exp(logits[c] - log_sum) - (c == label));
        return found;
    }
    for (int64_t c = 0; c < a->classes; c++) { /* log sigmoid(x) = x - max(x, 0) - log(1 + e^-|x|) */
        double x = logits[c], y = a->matrix[document * a->classes + c];
        found += y * x - (x > 0 ? x : 0) - log1p(exp(-fabs(x)));
        logits[c] = (float)(1 / (1 + exp(-x)) - y);
    }
    return found;
}

/* See train_averaging. Inlined for a constant size, the compiler keeps sums in registers. */
static inline double train(const Averaging *a, const int64_t size, const int64_t *chosen,
                           int64_t batch, double weight, float rate, float decay,
                           float epsilon, int32_t learn) {
    float *restrict hidden = a->work, *restrict back = hidden + size;
    float *restrict logits = back + size, *bias = logits + a->classes, *output = bias + a->classes;
    memset(bias, 0, (size_t)(a->classes * (size + 1)) * sizeof(float));
    int64_t touched = 0;
    double log_prob = 0;
    for (int64_t i = 0; i < batch; i++) {
        int64_t first = a->offsets[chosen[i]], last = a->offsets[chosen[i] + 1];
        const int32_t *features = a->features;
        for (int64_t k = 0; k < size; k++) hidden[k] = 0;
        for (int64_t f = first; f < last && f < first + FAR_AHEAD; f++)
            ask_for(a, features[f], size);
        for (int64_t f = first; f < last; f++) {
            if (f + FAR_AHEAD < last) ask_for(a, features[f + FAR_AHEAD], size);
            const float *restrict row = a->embeddings + features[f] * size;
            for (int64_t k = 0; k < size; k++) hidden[k] += row[k];
        }
        float share = 1 / (float)(last > first ? last - first : 1);
        for (int64_t k = 0; k < size; k++) hidden[k] *= share;
        for (int64_t c = 0; c < a->classes; c++) {
            logits[c] = a->bias[c];
            for (int64_t k = 0; k < size; k++) logits[c] += a->output[c * size + k] * hidden[k];
        }
        float counted = a->weights[chosen[i]];
        log_prob += counted * read_labels(a, chosen[i], logits);
        if (!learn) continue;
        for (int64_t k = 0; k < size; k++) back[k] = 0;
        for (int64_t c = 0; c < a->classes; c++) {
            float by_logit = (float)(logits[c] * counted / weight);
            bias[c] += by_logit;
            for (int64_t k = 0; k < size; k++) {
                output[c * size + k] += by_logit * hidden[k];
                back[k] += by_logit * a->output[c * size + k];
            }
        }
        for (int64_t k = 0; k < size; k++) back[k] *= share;
        for (int64_t f = first; f < last; f++) {
            int32_t slot = a->slots[features[f]];
            if (slot < 0) {
                a->slots[features[f]] = (int32_t)touched;
                a->touched[touched] = features[f];
                memcpy(a->gradients + touched * size, back, (size_t)size * sizeof(float));
                touched++;
            } else {
                float *restrict sum = a->gradients + slot * size;
                for (int64_t k = 0; k < size; k++) sum[k] += back[k];
            }
        }
    }
    if (!learn) return log_prob;
    for (int64_t i = 0; i < touched; i++) {
        int64_t row = a->touched[i];
        if (i + FAR_AHEAD < touched) {
            PREFETCH(a->embeddings + a->touched[i + FAR_AHEAD] * size);
            PREFETCH(a->embedding_totals + a->touched[i + FAR_AHEAD]);
        }
        adagrad_row(a->embeddings + row * size, a->embedding_totals + row, a->gradients + i * size,
                size, rate, decay, epsilon);
        a->slots[row] = -1;
    }
    for (int64_t c = 0; c < a->classes; c++) {
        adagrad_row(a->output + c * size, a->output_totals + c, output + c * size, size, rate, decay,
                epsilon);
        adagrad_row(a->bias + c, a->bias_totals + c, bias + c, 1, rate, 0, epsilon);
    }
    return log_prob;
}

/* Whether the labels and the rows of all documents are in range. */
CORE_EXPORT int32_t averaging_fits(const Averaging *a) {
    if (a->size < 1 || a->classes < 1 || a->offsets[0] < 0) return 0;
    if (a->offsets[a->documents] > a->num_features) return 0;
    for (int64_t d = 0; d < a->documents; d++) {
        if (a->offsets[d] > a->offsets[d + 1]) return 0;
        if (a->labels && (uint64_t)a->labels[d] >= (uint64_t)a->classes) return 0;
    }
    for (int64_t i = 0; i < a->num_features; i++)
        if ((uint32_t)a->features[i] >= (uint64_t)a->rows) return 0;
    return 1;
}

/* Make one step on the chosen documents, and add their loss before the step to loss. If learn is 0, the
   weights do not change. Equals AveragingNetwork with Adagrad up to rounding. */
CORE_EXPORT int32_t train_averaging(const Averaging *a, const int64_t *chosen, int64_t batch,
                                    double weight, float rate, float decay, float epsilon,
                                    int32_t learn, double *loss) {
    int64_t features = 0;
    for (int64_t i = 0; i < batch; i++) {
        if ((uint64_t)chosen[i] >= (uint64_t)a->documents) return 1;
        features += a->offsets[chosen[i] + 1] - a->offsets[chosen[i]];
    }
    if (features > a->room && a->rows > a->room) return 1;
    if (a->size == 16)
        *loss -= train(a, 16, chosen, batch, weight, rate, decay, epsilon, learn);
    else
        *loss -= train(a, a->size, chosen, batch, weight, rate, decay, epsilon, learn);
    return 0;
}
